#!/bin/sh
# Scores both versions of CMSEI on MS-COCO's test images, and their mean, the paper's result.
# Writes results.safetensors and results.json beside each checkpoint, and results.json into OUT.
#   [I2T=runs/coco_cmsei_i2t/model_best.pth] [T2I=runs/coco_cmsei_t2i/model_best.pth] \
#       [OUT=runs/coco_cmsei] [DATA_PATH=data] [CUDA_VISIBLE_DEVICES=0] [PROCESSES=1] \
#       sh scripts/eval_cmsei_coco.sh [eval.py's arguments ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
I2T=${I2T:-runs/coco_cmsei_i2t/model_best.pth}
T2I=${T2I:-runs/coco_cmsei_t2i/model_best.pth}
for checkpoint in "$I2T" "$T2I"; do
    folder=$(dirname -- "$checkpoint")
    $LAUNCH eval.py --checkpoint "$checkpoint" --data_path "${DATA_PATH:-data}" --dataset coco \
        --save_results "$folder/results.safetensors" --json "$folder/results.json" "$@"
done
exec "$PYTHON" eval_ensemble.py "$(dirname -- "$I2T")/results.safetensors" \
    "$(dirname -- "$T2I")/results.safetensors" --json "${OUT:-runs/coco_cmsei}/results.json"
