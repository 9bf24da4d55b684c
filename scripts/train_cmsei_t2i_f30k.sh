#!/bin/sh
# Trains CMSEI's version T-I on Flickr30K.
#   [DATA_PATH=data] [CUDA_VISIBLE_DEVICES=0] [PROCESSES=1] sh scripts/train_cmsei_t2i_f30k.sh [--resume] [section.key=value ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
exec $LAUNCH train.py --config configs/f30k_cmsei.yaml data.root="${DATA_PATH:-data}" \
    model.direction=t2i run.out=runs/f30k_cmsei_t2i "$@"
