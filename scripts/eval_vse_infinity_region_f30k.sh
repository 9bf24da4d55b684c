#!/bin/sh
# Scores region-level VSE-infinity on Flickr30K's test images; CHECKPOINT may be a released file.
# Writes results.safetensors (the scores) and results.json into OUT.
#   [CHECKPOINT=runs/f30k_vse_infinity_region/model_best.pth] [OUT=CHECKPOINT's folder] \
#       [DATA_PATH=data] [CUDA_VISIBLE_DEVICES=0] [PROCESSES=1] \
#       sh scripts/eval_vse_infinity_region_f30k.sh [eval.py's arguments ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
CHECKPOINT=${CHECKPOINT:-runs/f30k_vse_infinity_region/model_best.pth}
OUT=${OUT:-$(dirname -- "$CHECKPOINT")}
exec $LAUNCH eval.py --checkpoint "$CHECKPOINT" --features region \
    --data_path "${DATA_PATH:-data}" --dataset f30k \
    --save_results "$OUT/results.safetensors" --json "$OUT/results.json" "$@"
