#!/bin/sh
# The whole system in one go, in some 5 minutes on two CPU cores, set-up aside: renders a small
# world and a second one of another domain, trains 3SHNet on regions and on grids of the first,
# evaluates both, their hybrid, and all three across domains; draws OUT/region/retrieval.png.
#   [DATA_PATH=data] [OUT=runs/demo] [CUDA_VISIBLE_DEVICES=0] \
#       sh scripts/demo.sh [--overwrite] [section.key=value ...]
# A finished training is kept, an interrupted one is resumed; --overwrite starts over.
. "$(dirname -- "$0")/help.sh"
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
DATA_PATH=${DATA_PATH:-data}
OUT=${OUT:-runs/demo}
started=$(date +%s)
begun=$started
spent=
what=
# step NUMBER WHAT TITLE: what begins now; the seconds of the step before it are kept.
step() {
    now=$(date +%s)
    [ -z "$what" ] || spent="$spent${spent:+, }$what $((now - begun)) s"
    begun=$now
    what=$2
    [ -z "$3" ] || echo "== $1 of 6: $3"
}
# An override that cannot be used is told before anything is made.
"$PYTHON" train.py --config configs/scenes_region.yaml --settings "$@" > /dev/null

step 1 rendering "rendering the world, and one of another domain (other colours, words, mixtures)"
. scripts/scenes.sh
if [ ! -f "$DATA_PATH/scenes_b_precomp/scenes.json" ]; then
    "$PYTHON" -m lib.demo.scenes --out "$DATA_PATH/scenes_b_precomp" --domain b --seed 1 \
        --train 1 --dev 1 --test 250 --regions 24 --img_dim 256 --map_size 16
fi

step 2 "training and evaluation" "training on regions and on grids, side by side"
"$PYTHON" -m lib.demo.both --data_path "$DATA_PATH" --out "$OUT" "$@"
echo "== 3 of 6: evaluating both on pictures that training never saw, done as each was trained"
cat "$OUT/region.evaluation.log" "$OUT/grid.evaluation.log"

step 4 hybrid "evaluating the hybrid, region + grid, from their saved scores"
"$PYTHON" eval_ensemble.py "$OUT/region/results.safetensors" "$OUT/grid/results.safetensors" \
    --json "$OUT/hybrid/results.json"

step 5 "other domain" "evaluating all three on the other domain, without tuning"
"$PYTHON" eval_cross_ensemble.py --data_path "$DATA_PATH" --dataset scenes_b \
    --checkpoints "$OUT/region/model_best.pth" "$OUT/grid/model_best.pth" \
    --json "$OUT/cross/results.json"

step 6 "drawing and table" "drawing what the region-level model retrieves, and the table of all"
"$PYTHON" scripts/draw_retrieval.py --embeddings "$OUT/region/embeddings.safetensors" \
    --data "$DATA_PATH/scenes_precomp" --split test --out "$OUT/region/retrieval.png"
"$PYTHON" scripts/results_table.py \
    "$OUT/region" "$OUT/grid" "$OUT/hybrid" "$OUT/cross"
step 6 "" ""
echo
echo "Done in $(($(date +%s) - started)) s: $spent. Curves: tensorboard --logdir $OUT"
