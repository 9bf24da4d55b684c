#!/bin/sh
# The whole system in one go, in under ten minutes on two CPU cores, set-up aside: renders a small
# world, trains region-level 3SHNet on it, evaluates, draws runs/demo/retrieval.png.
#   [DATA_PATH=data] [OUT=runs/demo] [CUDA_VISIBLE_DEVICES=0] \
#       bash scripts/demo.sh [section.key=value ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
DATA_PATH=${DATA_PATH:-data}
OUT=${OUT:-runs/demo}
started=$(date +%s)
echo "== 1 of 4: rendering the world"
. scripts/scenes.sh
echo "== 2 of 4: training"
"$PYTHON" train.py --config configs/scenes_region.yaml --overwrite \
    data.root="$DATA_PATH" model.bert="$DATA_PATH/scenes_precomp/bert" run.out="$OUT" "$@"
echo "== 3 of 4: evaluating on pictures that training never saw"
"$PYTHON" eval.py --checkpoint "$OUT/model_best.pth" --data_path "$DATA_PATH" --dataset scenes \
    --save_results "$OUT/results.npz" --save_embeddings "$OUT/embeddings.npz" \
    --json "$OUT/results.json"
echo "== 4 of 4: drawing"
"$PYTHON" scripts/draw_retrieval.py --embeddings "$OUT/embeddings.npz" \
    --data "$DATA_PATH/scenes_precomp" --split test --out "$OUT/retrieval.png"
echo "Done in $(($(date +%s) - started)) s. Curves: tensorboard --logdir $OUT/tensorboard"
