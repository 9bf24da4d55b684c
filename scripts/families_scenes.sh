#!/bin/sh
# All families side by side on the demo world: VSE-infinity, 3SHNet on regions, grids and both, CMSEI
# in both versions and their mean, and LHSC, three seeds each. Prints rSum and what it costs, and what
# a shortlist of 20, 50 and 100 candidates makes of CMSEI and LHSC; draws OUT/families.png. Slow: 18
# trainings of some minutes each, JOBS at a time; train.precision=bf16 is faster where the processor
# computes in it. Finished runs are kept, so it may be stopped and started again.
#   [DATA_PATH=data] [OUT=runs/families] [SEEDS="0 1 2"] [JOBS=2] [PICTURE=OUT/families.png] \
#       sh scripts/families_scenes.sh [section.key=value ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
# An override that cannot be used is told before anything is made.
for config in vse_infinity_region region grid cmsei lhsc; do
    "$PYTHON" train.py --config "configs/scenes_$config.yaml" --settings "$@" > /dev/null
done
DATA_PATH=${DATA_PATH:-data}
SEEDS=${SEEDS:-0 1 2}
. scripts/scenes.sh
out=${OUT:-runs/families}
. scripts/jobs.sh
keep_settings "$@"

bert=model.bert=$DATA_PATH/scenes_precomp/bert
for seed in $SEEDS; do
    for direction in i2t t2i; do
        start "cmsei_$direction-$seed" seeded configs/scenes_cmsei.yaml "cmsei_$direction" "$seed" \
            "$bert" model.direction="$direction" "$@"
    done
    start "lhsc-$seed" seeded configs/scenes_lhsc.yaml lhsc "$seed" "$@"
    for kind in vse_infinity_region region grid; do
        start "$kind-$seed" seeded "configs/scenes_$kind.yaml" "$kind" "$seed" "$bert" "$@"
    done
done
join

mean() { # mean NAME SEED ONE OTHER: the mean of two models' scores
    "$PYTHON" eval_ensemble.py "$out/$3-$2/results.safetensors" "$out/$4-$2/results.safetensors" \
        --json "$out/$1-$2/results.json" > "$out/$1-$2.log"
}
for seed in $SEEDS; do
    mean hybrid "$seed" region grid
    mean cmsei "$seed" cmsei_i2t cmsei_t2i
done
unset MALLOC_MMAP_THRESHOLD_ MALLOC_TRIM_THRESHOLD_ # memory is measured as a user has it
"$PYTHON" benchmarks/families.py "$out" --data_path "$DATA_PATH" --shortlist 20 50 100 \
    --picture "${PICTURE:-$out/families.png}"
