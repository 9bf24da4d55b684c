#!/bin/sh
# Scores region-level 3SHNet on MS-COCO's test images; CHECKPOINT may be a released file.
#   [CHECKPOINT=runs/coco_region/model_best.pth] [DATA_PATH=data] [CUDA_VISIBLE_DEVICES=0] \
#       sh scripts/eval_region_coco.sh [eval.py's arguments ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
exec "$PYTHON" eval.py --checkpoint "${CHECKPOINT:-runs/coco_region/model_best.pth}" \
    --data_path "${DATA_PATH:-data}" --dataset coco "$@"
