#!/bin/sh
# What each part of 3SHNet adds on the demo world: five models, three seeds each, one table of rSum.
# Slow: 15 trainings of some minutes. Finished runs are kept, so it may be stopped and started again.
#   [DATA_PATH=data] [OUT=runs/ablation] [SEEDS="0 1 2"] [JOBS=2] \
#       sh scripts/ablation_scenes.sh [section.key=value ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
DATA_PATH=${DATA_PATH:-data}
. scripts/scenes.sh
out=${OUT:-runs/ablation}
mkdir -p "$out"
if [ -f "$out/settings" ] && [ "$(cat "$out/settings")" != "$*" ]; then
    echo "error: $out holds runs with other settings ($(cat "$out/settings")); choose another OUT" >&2
    exit 1
fi
echo "$*" >"$out/settings"

stoppable() { # a command that ends when this subshell is told to
    "$@" &
    child=$!
    trap 'kill "$child" 2>/dev/null' TERM
    wait "$child"
}

one() { # one NAME SEED [section.key=value ...]
    run=$out/$1-$2
    seed=$2
    shift 2
    if [ ! -f "$run/results.json" ]; then
        stoppable "$PYTHON" train.py --config configs/scenes_region.yaml --resume \
            data.root="$DATA_PATH" data.workers=0 model.bert="$DATA_PATH/scenes_precomp/bert" \
            run.out="$run" run.seed="$seed" "$@"
        stoppable "$PYTHON" eval.py --checkpoint "$run/model_best.pth" --data_path "$DATA_PATH" \
            --dataset scenes --workers 0 --json "$run/results.json"
    fi
}

# As many runs side by side as JOBS says, each on one thread: small models gain little from more.
export OMP_NUM_THREADS=1
pids=
trap 'kill $pids 2>/dev/null || :; wait' EXIT # runs save when they are stopped
trap 'exit 130' INT
trap 'exit 143' TERM
JOBS=${JOBS:-2}
running=0
for seed in ${SEEDS:-0 1 2}; do
    for variant in full: no_vsem:model.vsem=false no_vspm:model.vspm=false \
        no_branches:model.vsem=false,model.vspm=false no_segmentation:model.segmentation=false; do
        settings=$(echo "${variant#*:}" | tr ',' ' ')
        # shellcheck disable=SC2086 # the settings are words of their own
        one "${variant%%:*}" "$seed" $settings "$@" >"$out/${variant%%:*}-$seed.log" 2>&1 &
        pids="$pids $!"
        running=$((running + 1))
        if [ "$running" -ge "$JOBS" ]; then
            for pid in $pids; do
                wait "$pid" || { echo "error: a run failed, see $out/*.log" >&2; exit 1; }
            done
            pids=
            running=0
        fi
    done
done
for pid in $pids; do
    wait "$pid" || { echo "error: a run failed, see $out/*.log" >&2; exit 1; }
done
"$PYTHON" scripts/ablation_table.py "$out"
