#!/bin/sh
# All families side by side on the demo world: VSE-infinity, 3SHNet on regions, grids and both,
# CMSEI in both versions and their mean, and LHSC, three seeds each. Prints rSum and what it costs,
# and what a shortlist of 20, 50 and 100 candidates makes of CMSEI and LHSC; draws
# OUT/families.png. Slow: 18 trainings of some minutes each, JOBS at a time; train.precision=bf16
# is faster where the processor computes in it. Finished runs are kept, so it may be stopped and
# started again.
#   [DATA_PATH=data] [OUT=runs/families] [SEEDS="0 1 2"] [JOBS=2] [PICTURE=OUT/families.png] \
#       sh scripts/families_scenes.sh [section.key=value ...]
. "$(dirname -- "$0")/help.sh"
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
out=${OUT:-runs/families}
# shellcheck disable=SC2086 # seeds are words of their own
"$PYTHON" scripts/ablation.py families --data_path "${DATA_PATH:-data}" --out "$out" \
    ${SEEDS:+--seeds $SEEDS} --jobs "${JOBS:-2}" "$@"
"$PYTHON" benchmarks/families.py "$out" --data_path "${DATA_PATH:-data}" --shortlist 20 50 100 \
    --picture "${PICTURE:-$out/families.png}"
