#!/bin/sh
# Scores LHSC on MS-COCO's test images; CHECKPOINT may be a released file, whose vocabulary is sought
# beside it and in DATA_PATH/vocab (--vocab FILE says otherwise).
# Writes results.safetensors (the scores, for eval_ensemble.py) and results.json into OUT.
#   [CHECKPOINT=runs/coco_lhsc/model_best.pth] [OUT=CHECKPOINT's folder] [DATA_PATH=data] \
#       [CUDA_VISIBLE_DEVICES=0] [PROCESSES=1] sh scripts/eval_lhsc_coco.sh [eval.py's arguments ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
CHECKPOINT=${CHECKPOINT:-runs/coco_lhsc/model_best.pth}
OUT=${OUT:-$(dirname -- "$CHECKPOINT")}
exec $LAUNCH eval.py --checkpoint "$CHECKPOINT" --data_path "${DATA_PATH:-data}" --dataset coco \
    --save_results "$OUT/results.safetensors" --json "$OUT/results.json" "$@"
