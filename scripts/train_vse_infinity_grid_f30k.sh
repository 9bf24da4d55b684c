#!/bin/sh
# Trains grid-level VSE-infinity, from pixels, on Flickr30K.
#   [DATA_PATH=data] [CUDA_VISIBLE_DEVICES=0] [PROCESSES=1] \
#       sh scripts/train_vse_infinity_grid_f30k.sh [--resume] [section.key=value ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
exec $LAUNCH train.py --config configs/f30k_vse_infinity_grid.yaml data.root="${DATA_PATH:-data}" "$@"
