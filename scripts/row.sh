#!/bin/sh
# Takes DATASET_FEATURE from the arguments of train.sh and eval.sh, which source it in the
# repository's root: sets kind, dataset, feature and config, and shifts. With --help after the name
# it prints the head of the row's own script, then theirs.
case $0 in
row.sh | */row.sh) # alone, it only says what it is
    set -- --help
    . "$(dirname -- "$0")/help.sh"
    ;;
esac
. scripts/help.sh
verb=$(basename -- "$0" .sh)
kind=${1:-}
dataset=${kind%%_*}
feature=${kind#*_}
case $feature in
cmsei_i2t | cmsei_t2i) config=configs/${dataset}_cmsei.yaml ;;
*) config=configs/$kind.yaml ;;
esac
case $verb:$feature in
eval:hybrid | eval:cross) # of two rows
    if [ ! -f "configs/${dataset}_region.yaml" ]; then
        echo "error: $kind is no row; there are coco_hybrid, f30k_hybrid and f30k_cross" >&2
        exit 2
    fi
    ;;
train:cmsei)
    echo "error: CMSEI has two versions: ${kind}_i2t and ${kind}_t2i" >&2
    exit 2
    ;;
*)
    if [ -z "$kind" ] || [ ! -f "$config" ]; then
        echo "error: ${kind:+$kind is no row; }name one, as in sh scripts/$verb.sh coco_region; there are" \
            "$(echo configs/*.yaml | sed 's|configs/||g; s|\.yaml||g')" >&2
        exit 2
    fi
    ;;
esac
shift
case ${1:-} in
-h | --help)
    own=scripts/${verb}_${feature}_$dataset.sh
    [ ! -f "$own" ] || { head_of "$own" && echo; }
    head_of "scripts/$verb.sh"
    exit 0
    ;;
esac
