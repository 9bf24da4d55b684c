#!/bin/sh
# Trains CMSEI's version T-I on MS-COCO.
#   [DATA_PATH=data] [CUDA_VISIBLE_DEVICES=0] [PROCESSES=1] sh scripts/train_cmsei_t2i_coco.sh [--resume] [section.key=value ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
exec $LAUNCH train.py --config configs/coco_cmsei.yaml data.root="${DATA_PATH:-data}" \
    model.direction=t2i run.out=runs/coco_cmsei_t2i "$@"
