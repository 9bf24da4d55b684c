#!/bin/sh
# Trains region-level VSE-infinity on MS-COCO.
#   [DATA_PATH=data] [CUDA_VISIBLE_DEVICES=0] [PROCESSES=1] \
#       sh scripts/train_vse_infinity_region_coco.sh [--resume] [section.key=value ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
exec $LAUNCH train.py --config configs/coco_vse_infinity_region.yaml data.root="${DATA_PATH:-data}" "$@"
