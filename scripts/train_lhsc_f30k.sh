#!/bin/sh
# Trains LHSC on Flickr30K.
#   [DATA_PATH=data] [CUDA_VISIBLE_DEVICES=0] [PROCESSES=1] sh scripts/train_lhsc_f30k.sh [--resume] [section.key=value ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
exec $LAUNCH train.py --config configs/f30k_lhsc.yaml data.root="${DATA_PATH:-data}" "$@"
