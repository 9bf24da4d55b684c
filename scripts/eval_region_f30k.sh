#!/bin/sh
# Scores region-level 3SHNet on Flickr30K's test images; CHECKPOINT may be a released file.
#   [CHECKPOINT=runs/f30k_region/model_best.pth] [DATA_PATH=data] [CUDA_VISIBLE_DEVICES=0] \
#       sh scripts/eval_region_f30k.sh [eval.py's arguments ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
exec "$PYTHON" eval.py --checkpoint "${CHECKPOINT:-runs/f30k_region/model_best.pth}" \
    --data_path "${DATA_PATH:-data}" --dataset f30k "$@"
