#!/bin/sh
# Runs side by side in the folder $out, each on one thread: small models gain little from more.
# The ablations source it after setup.sh.

keep_settings() { # refuses a folder whose runs have other settings
    mkdir -p "$out"
    if [ -f "$out/settings" ] && [ "$(cat "$out/settings")" != "$*" ]; then
        echo "error: $out holds runs with other settings ($(cat "$out/settings"));" \
            "choose another OUT" >&2
        exit 1
    fi
    echo "$*" >"$out/settings"
}

stoppable() { # a command that ends when this subshell is told to
    "$@" &
    child=$!
    trap 'kill "$child" 2>/dev/null' TERM
    wait "$child"
}

seeded() { # seeded CONFIG NAME SEED [section.key=value ...]: trains and scores on $dataset, once
    config=$1
    run=$out/$2-$3
    seed=$3
    shift 3
    if [ ! -f "$run/results.json" ]; then
        stoppable "$PYTHON" train.py --config "$config" --resume data.root="$DATA_PATH" \
            data.workers=0 run.out="$run" run.seed="$seed" "$@"
        stoppable "$PYTHON" eval.py --checkpoint "$run/model_best.pth" --data_path "$DATA_PATH" \
            --dataset "${dataset:-scenes}" --workers 0 --save_results "$run/results.safetensors" \
            --json "$run/results.json"
    fi
}

join() { # waits for the jobs that run
    for pid in $pids; do
        wait "$pid" || { echo "error: a run failed, see $out/*.log" >&2; exit 1; }
    done
    pids=
    running=0
}

start() { # start NAME COMMAND ...: a job with its log, of which JOBS run at a time
    log=$out/$1.log
    shift
    "$@" >"$log" 2>&1 &
    pids="$pids $!"
    running=$((running + 1))
    [ "$running" -lt "${JOBS:-2}" ] || join
}

export OMP_NUM_THREADS=1
# glibc gives large blocks back to the kernel as they are freed, and every step asks for them again.
export MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=8000000000
pids=
running=0
trap 'kill $pids 2>/dev/null || :; wait' EXIT # runs save when they are stopped
trap 'exit 130' INT
trap 'exit 143' TERM
