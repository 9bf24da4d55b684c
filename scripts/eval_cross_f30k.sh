#!/bin/sh
# Scores COCO-trained 3SHNet on Flickr30K's test images: region, grid and hybrid, nothing tuned.
# Writes results.json into OUT.
#   [REGION=runs/coco_region/model_best.pth] [GRID=runs/coco_grid/model_best.pth] [DATA_PATH=data] \
#       [OUT=runs/cross_f30k] [CUDA_VISIBLE_DEVICES=0] \
#       sh scripts/eval_cross_f30k.sh [eval_cross_ensemble.py's arguments ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
exec $LAUNCH eval_cross_ensemble.py --checkpoints \
    "${REGION:-runs/coco_region/model_best.pth}" "${GRID:-runs/coco_grid/model_best.pth}" \
    --features region grid --data_path "${DATA_PATH:-data}" --dataset f30k \
    --json "${OUT:-runs/cross_f30k}/results.json" "$@"
