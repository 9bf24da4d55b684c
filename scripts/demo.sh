#!/bin/sh
# The whole system in one go, in some 8 minutes on two CPU cores, set-up aside: renders a small
# world and a second one of another domain, trains 3SHNet on regions and on grids of the first,
# evaluates both, their hybrid, and all three across domains; draws OUT/region/retrieval.png.
#   [DATA_PATH=data] [OUT=runs/demo] [CUDA_VISIBLE_DEVICES=0] \
#       sh scripts/demo.sh [section.key=value ...]
. "$(dirname -- "$0")/help.sh"
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
DATA_PATH=${DATA_PATH:-data}
OUT=${OUT:-runs/demo}
started=$(date +%s)
# An override that cannot be used is told before anything is made.
"$PYTHON" train.py --config configs/scenes_region.yaml --settings "$@" > /dev/null

echo "== 1 of 7: rendering the world, and one of another domain (other colours, words, mixtures)"
. scripts/scenes.sh
if [ ! -f "$DATA_PATH/scenes_b_precomp/scenes.json" ]; then
    "$PYTHON" -m lib.demo.scenes --out "$DATA_PATH/scenes_b_precomp" --domain b --seed 1 \
        --train 1 --dev 1 --test 250 --regions 24 --img_dim 256 --map_size 16
fi

number=2
for features in region grid; do
    echo "== $number of 7: training on ${features}s"
    "$PYTHON" train.py --config "configs/scenes_$features.yaml" --overwrite \
        data.root="$DATA_PATH" model.bert="$DATA_PATH/scenes_precomp/bert" \
        run.out="$OUT/$features" "$@"
    number=$((number + 1))
done

echo "== 4 of 7: evaluating both on pictures that training never saw"
for features in region grid; do
    "$PYTHON" eval.py --checkpoint "$OUT/$features/model_best.pth" --data_path "$DATA_PATH" \
        --dataset scenes --save_results "$OUT/$features/results.safetensors" \
        --save_embeddings "$OUT/$features/embeddings.safetensors" --json "$OUT/$features/results.json"
done

echo "== 5 of 7: evaluating the hybrid, region + grid, from their saved scores"
"$PYTHON" eval_ensemble.py "$OUT/region/results.safetensors" "$OUT/grid/results.safetensors" \
    --json "$OUT/hybrid/results.json"

echo "== 6 of 7: evaluating all three on the other domain, without tuning"
"$PYTHON" eval_cross_ensemble.py --data_path "$DATA_PATH" --dataset scenes_b \
    --checkpoints "$OUT/region/model_best.pth" "$OUT/grid/model_best.pth" \
    --json "$OUT/cross/results.json"

echo "== 7 of 7: drawing what the region-level model retrieves, and the table of all"
"$PYTHON" scripts/draw_retrieval.py --embeddings "$OUT/region/embeddings.safetensors" \
    --data "$DATA_PATH/scenes_precomp" --split test --out "$OUT/region/retrieval.png"
"$PYTHON" scripts/results_table.py \
    "$OUT/region" "$OUT/grid" "$OUT/hybrid" "$OUT/cross"
echo
echo "Done in $(($(date +%s) - started)) s. Curves: tensorboard --logdir $OUT"
