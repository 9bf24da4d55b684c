#!/bin/sh
# Trains grid-level VSE-infinity, from pixels, on MS-COCO.
#   [DATA_PATH=data] [CUDA_VISIBLE_DEVICES=0] [PROCESSES=1] \
#       sh scripts/train_vse_infinity_grid_coco.sh [--resume] [section.key=value ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
exec $LAUNCH train.py --config configs/coco_vse_infinity_grid.yaml data.root="${DATA_PATH:-data}" "$@"
