#!/bin/sh
# Trains CMSEI's version I-T on Flickr30K.
#   [DATA_PATH=data] [CUDA_VISIBLE_DEVICES=0] [PROCESSES=1] sh scripts/train_cmsei_i2t_f30k.sh [--resume] [section.key=value ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
exec $LAUNCH train.py --config configs/f30k_cmsei.yaml data.root="${DATA_PATH:-data}" \
    model.direction=i2t run.out=runs/f30k_cmsei_i2t "$@"
