#!/bin/sh
# Scores LHSC on Flickr30K's test images; CHECKPOINT may be a released file, whose vocabulary is sought
# beside it and in DATA_PATH/vocab (--vocab FILE says otherwise).
# Writes results.safetensors (the scores, for eval_ensemble.py) and results.json into OUT.
#   [CHECKPOINT=runs/f30k_lhsc/model_best.pth] [OUT=CHECKPOINT's folder] [DATA_PATH=data] \
#       [CUDA_VISIBLE_DEVICES=0] [PROCESSES=1] sh scripts/eval_lhsc_f30k.sh [eval.py's arguments ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
CHECKPOINT=${CHECKPOINT:-runs/f30k_lhsc/model_best.pth}
OUT=${OUT:-$(dirname -- "$CHECKPOINT")}
exec $LAUNCH eval.py --checkpoint "$CHECKPOINT" --data_path "${DATA_PATH:-data}" --dataset f30k \
    --save_results "$OUT/results.safetensors" --json "$OUT/results.json" "$@"
