#!/bin/sh
# Trains grid-level 3SHNet on Flickr30K from pixels, the backbone included.
#   [DATA_PATH=data] [CUDA_VISIBLE_DEVICES=0] [PROCESSES=1] sh scripts/train_images_f30k.sh [--resume] [section.key=value ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
exec $LAUNCH train.py --config configs/f30k_images.yaml data.root="${DATA_PATH:-data}" "$@"
