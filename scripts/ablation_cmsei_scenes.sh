#!/bin/sh
# What each part of CMSEI adds on the demo world: the rows of the paper's Table 5 that remove one.
# Every row is I-T, T-I and the mean of both, of three seeds. Slow: 36 trainings of some minutes
# each, JOBS at a time; train.precision=bf16 is faster where the processor computes in it. Finished
# runs are kept, so it may be stopped and started again. More ROWS: what the paper leaves open,
# clipped (model.attention), enhanced (model.global_from), projected (model.semantic_nodes),
# symmetric (model.symmetric_relations) and norm (model.graph_norm).
#   [DATA_PATH=data] [OUT=runs/ablation_cmsei] [ROWS="full no_vsg no_vsrg no_tg no_llii no_lgii"] \
#       [SEEDS="0 1 2"] [JOBS=2] sh scripts/ablation_cmsei_scenes.sh [section.key=value ...]
. "$(dirname -- "$0")/help.sh"
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
# shellcheck disable=SC2086 # rows and seeds are words of their own
exec "$PYTHON" scripts/ablation.py cmsei --data_path "${DATA_PATH:-data}" \
    --out "${OUT:-runs/ablation_cmsei}" ${ROWS:+--rows $ROWS} ${SEEDS:+--seeds $SEEDS} --jobs "${JOBS:-2}" "$@"
