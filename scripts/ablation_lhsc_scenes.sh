#!/bin/sh
# What each part of LHSC adds on the demo world: depth of the graph, word attention, the global
# part, the filter, the release's padding, BERT in place of words; two seeds each, one table of
# rSum. Slow: 18 trainings of some minutes. Finished runs are kept, so it may be stopped and
# started again.
#   [DATA_PATH=data] [OUT=runs/ablation_lhsc] [SEEDS="0 1"] [JOBS=2] \
#       [ROWS="full depth3 depth2 depth1 no_attention no_global no_filter padding bert"] \
#       sh scripts/ablation_lhsc_scenes.sh [section.key=value ...]
. "$(dirname -- "$0")/help.sh"
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
# shellcheck disable=SC2086 # rows and seeds are words of their own
exec "$PYTHON" scripts/ablation.py lhsc --data_path "${DATA_PATH:-data}" \
    --out "${OUT:-runs/ablation_lhsc}" ${ROWS:+--rows $ROWS} ${SEEDS:+--seeds $SEEDS} --jobs "${JOBS:-2}" "$@"
