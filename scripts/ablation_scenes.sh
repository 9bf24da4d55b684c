#!/bin/sh
# What each part of 3SHNet adds on the demo world: five models, three seeds each, one table of rSum.
# Slow: 15 trainings of some minutes. Finished runs are kept, so it may be stopped and started again.
#   [DATA_PATH=data] [OUT=runs/ablation] [SEEDS="0 1 2"] [JOBS=2] \
#       sh scripts/ablation_scenes.sh [section.key=value ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
# An override that cannot be used is told before anything is made.
"$PYTHON" train.py --config configs/scenes_region.yaml --settings "$@" > /dev/null
DATA_PATH=${DATA_PATH:-data}
. scripts/scenes.sh
out=${OUT:-runs/ablation}
. scripts/jobs.sh
keep_settings "$@"

for seed in ${SEEDS:-0 1 2}; do
    for variant in full: no_vsem:model.vsem=false no_vspm:model.vspm=false \
        no_branches:model.vsem=false,model.vspm=false no_segmentation:model.segmentation=false; do
        settings=$(echo "${variant#*:}" | tr ',' ' ')
        # shellcheck disable=SC2086 # the settings are words of their own
        start "${variant%%:*}-$seed" seeded configs/scenes_region.yaml "${variant%%:*}" "$seed" \
            model.bert="$DATA_PATH/scenes_precomp/bert" $settings "$@"
    done
done
join
"$PYTHON" scripts/results_table.py --format markdown "$out"
