#!/bin/sh
# Trains a row of the paper, or any other config: sh scripts/train.sh DATASET_FEATURE.
#   [DATA_PATH=data] [CUDA_VISIBLE_DEVICES=0] [PROCESSES=1] [NODES=1 RENDEZVOUS=HOST:PORT] \
#       sh scripts/train.sh coco_region [--resume] [--overwrite] [section.key=value ...]
# DATASET_FEATURE is the name of a file of configs/, as coco_region, f30k_grid,
# coco_vse_infinity_region, f30k_vse_infinity_grid (from pixels) or coco_lhsc; CMSEI has two
# versions, coco_cmsei_i2t and coco_cmsei_t2i. The run is where the config's run.out says: for rows
# of the paper in runs/DATASET_FEATURE. scripts/setup.sh --help says what PROCESSES, NODES and
# RENDEZVOUS do.
. "$(dirname -- "$0")/help.sh"
kind=${1:-}
CDPATH='' cd -- "$(dirname -- "$0")/.." || exit 1
. scripts/row.sh
set -eu
case $kind in
*_cmsei_i2t | *_cmsei_t2i) set -- model.direction="${kind##*_}" run.out="runs/$kind" "$@" ;;
esac
. scripts/setup.sh
exec $LAUNCH train.py --config "$config" data.root="${DATA_PATH:-data}" "$@"
