#!/bin/sh
# Scores 3SHNet trained from pixels on MS-COCO's test images.
# Writes results.safetensors (the scores) and results.json into OUT.
#   [CHECKPOINT=runs/coco_images/model_best.pth] [OUT=CHECKPOINT's folder] [DATA_PATH=data] \
#       [CUDA_VISIBLE_DEVICES=0] [PROCESSES=1] sh scripts/eval_images_coco.sh [eval.py's arguments ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
CHECKPOINT=${CHECKPOINT:-runs/coco_images/model_best.pth}
OUT=${OUT:-$(dirname -- "$CHECKPOINT")}
exec $LAUNCH eval.py --checkpoint "$CHECKPOINT" \
    --data_path "${DATA_PATH:-data}" --dataset coco \
    --save_results "$OUT/results.safetensors" --json "$OUT/results.json" "$@"
