#!/bin/sh
# What each part of CMSEI adds on the demo world: the rows of the paper's Table 5 that remove one.
# Every row is I-T, T-I and the mean of both. Slow: 12 trainings of about ten minutes each, JOBS at
# a time. Finished runs are kept, so it may be stopped and started again.
#   [DATA_PATH=data] [OUT=runs/ablation_cmsei] [ROWS="full no_vsg no_vsrg no_tg no_llii no_lgii"] \
#       [JOBS=2] sh scripts/ablation_cmsei_scenes.sh [section.key=value ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
# An override that cannot be used is told before anything is made.
"$PYTHON" train.py --config configs/scenes_cmsei.yaml --settings "$@" > /dev/null

part_of() { # the switch that a row turns off
    case $1 in
    full) ;;
    no_vsg) echo model.use_spatial_graph=false ;;
    no_vsrg) echo model.use_semantic_graph=false ;;
    no_tg) echo model.use_text_graph=false ;;
    no_llii) echo model.use_local_interaction=false ;;
    no_lgii) echo model.use_global_interaction=false ;;
    *)
        echo "error: ROWS names $1, expected full, no_vsg, no_vsrg, no_tg, no_llii or no_lgii" >&2
        exit 1
        ;;
    esac
}

ROWS=${ROWS:-full no_vsg no_vsrg no_tg no_llii no_lgii}
for row in $ROWS; do
    part_of "$row" >/dev/null
done
DATA_PATH=${DATA_PATH:-data}
. scripts/scenes.sh
out=${OUT:-runs/ablation_cmsei}
. scripts/jobs.sh
keep_settings "$@"

one() { # one ROW DIRECTION [section.key=value ...]
    run=$out/$1-$2
    part=$(part_of "$1")
    direction=$2
    shift 2
    if [ ! -f "$run/results.json" ]; then
        stoppable "$PYTHON" train.py --config configs/scenes_cmsei.yaml --resume \
            data.root="$DATA_PATH" data.workers=0 model.bert="$DATA_PATH/scenes_precomp/bert" \
            run.out="$run" model.direction="$direction" ${part:+"$part"} "$@"
        stoppable "$PYTHON" eval.py --checkpoint "$run/model_best.pth" --data_path "$DATA_PATH" \
            --dataset scenes --workers 0 --save_results "$run/results.safetensors" \
            --json "$run/results.json"
    fi
}

for row in $ROWS; do
    for direction in i2t t2i; do
        start "$row-$direction" one "$row" "$direction" "$@"
    done
done
join
for row in $ROWS; do
    "$PYTHON" eval_ensemble.py "$out/$row-i2t/results.safetensors" "$out/$row-t2i/results.safetensors" \
        --json "$out/$row/results.json" >"$out/$row.log"
done
"$PYTHON" scripts/results_table.py --format markdown "$out"
