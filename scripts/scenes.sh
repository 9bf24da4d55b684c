#!/bin/sh
# Renders the demo world under DATA_PATH, with a small BERT from its captions; sourced by the demo
# and the ablation after setup.sh. A world that is there already is kept, whatever its size.
case $0 in
scenes.sh | */scenes.sh) # alone, it only says what it is
    set -- --help
    . "$(dirname -- "$0")/help.sh"
    ;;
esac
if [ ! -f "$DATA_PATH/scenes_precomp/scenes.json" ] || [ ! -d "$DATA_PATH/scenes_precomp/grids" ] ||
    [ ! -f "$DATA_PATH/scenes_precomp/train_rels.npy" ]; then
    "$PYTHON" -m lib.demo.scenes --out "$DATA_PATH/scenes_precomp" \
        --train 1200 --dev 200 --test 250 --regions 24 --img_dim 256 --map_size 16
fi
if [ ! -f "$DATA_PATH/scenes_precomp/bert/model.safetensors" ]; then
    "$PYTHON" -m lib.demo.small_bert --captions "$DATA_PATH/scenes_precomp/train_caps.txt" \
        --out "$DATA_PATH/scenes_precomp/bert"
fi
