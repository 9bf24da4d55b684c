#!/bin/sh
# What each part of 3SHNet adds on the demo world: five models, three seeds each, one table of
# rSum. Slow: 15 trainings of some minutes. Finished runs are kept, so it may be stopped and
# started again.
#   [DATA_PATH=data] [OUT=runs/ablation] [SEEDS="0 1 2"] [JOBS=2] \
#       sh scripts/ablation_scenes.sh [section.key=value ...]
. "$(dirname -- "$0")/help.sh"
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
# shellcheck disable=SC2086 # rows and seeds are words of their own
exec "$PYTHON" scripts/ablation.py threeshnet --data_path "${DATA_PATH:-data}" \
    --out "${OUT:-runs/ablation}" ${ROWS:+--rows $ROWS} ${SEEDS:+--seeds $SEEDS} --jobs "${JOBS:-2}" "$@"
