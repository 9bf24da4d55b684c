#!/bin/sh
# Scores a row of the paper on its test images: sh scripts/eval.sh DATASET_FEATURE.
#   [OUT=CHECKPOINT's folder] [DATA_PATH=data] [CUDA_VISIBLE_DEVICES=0] [PROCESSES=1] \
#       [NODES=1 RENDEZVOUS=HOST:PORT] \
#       sh scripts/eval.sh coco_region [CHECKPOINT] [eval.py's arguments ...]
# DATASET_FEATURE is the name of a file of configs/. CHECKPOINT is a run's folder, a checkpoint, a
# released file or hf://NAME, runs/DATASET_FEATURE if left out; CHECKPOINT=FILE before sh does the
# same.
# Writes results.safetensors (the scores, for ensembles) and results.json into OUT.
# VSE-infinity's grid models read pictures: images/ of the dataset, or --images FOLDER. A released
# LHSC's vocabulary is sought beside it and in DATA_PATH/vocab (--vocab FILE says otherwise).
#
# Three more rows are made of two models:
#   [REGION=runs/coco_region/results.safetensors] [GRID=runs/coco_grid/results.safetensors] \
#       [OUT=runs/coco_hybrid] sh scripts/eval.sh coco_hybrid [eval_ensemble.py's arguments ...]
#   [REGION=runs/coco_region] [GRID=runs/coco_grid] [OUT=runs/cross_f30k] \
#       sh scripts/eval.sh f30k_cross [eval_cross_ensemble.py's arguments ...]
#   [I2T=runs/coco_cmsei_i2t] [T2I=runs/coco_cmsei_t2i] [OUT=runs/coco_cmsei] \
#       sh scripts/eval.sh coco_cmsei [eval.py's arguments ...]
# hybrid is the mean of region's and grid's scores, which their own rows must have saved; cross is
# COCO's models on Flickr30K, each and their mean; cmsei is both versions and their mean.
. "$(dirname -- "$0")/help.sh"
kind=${1:-}
CDPATH='' cd -- "$(dirname -- "$0")/.." || exit 1
. scripts/row.sh
set -eu
. scripts/setup.sh
DATA_PATH=${DATA_PATH:-data}
folder_of() { # of a run's folder or a checkpoint
    case $1 in
    hf://*) echo "runs/$kind" ;; # it has none here
    *) if [ -d "$1" ]; then echo "$1"; else dirname -- "$1"; fi ;;
    esac
}
scored() { # scored CHECKPOINT OUT [eval.py's arguments ...]
    checkpoint=$1
    out=$2
    shift 2
    if [ ! -e "$checkpoint" ] && [ "${checkpoint#hf://}" = "$checkpoint" ]; then
        echo "error: $checkpoint: no such run or checkpoint; sh scripts/train.sh trains one," \
            "and sh scripts/eval.sh --help says how to name another" >&2
        exit 1
    fi
    $LAUNCH eval.py --checkpoint "$checkpoint" --data_path "$DATA_PATH" --dataset "$dataset" \
        --save_results "$out/results.safetensors" --json "$out/results.json" "$@"
}
case $feature in
hybrid)
    split=test
    [ "$dataset" != coco ] || split=testall
    exec "$PYTHON" eval_ensemble.py "${REGION:-runs/${dataset}_region/results.safetensors}" \
        "${GRID:-runs/${dataset}_grid/results.safetensors}" --dataset "$dataset" --split "$split" \
        --json "${OUT:-runs/$kind}/results.json" "$@"
    ;;
cross)
    exec $LAUNCH eval_cross_ensemble.py --checkpoints "${REGION:-runs/coco_region}" \
        "${GRID:-runs/coco_grid}" --features region grid --data_path "$DATA_PATH" \
        --dataset "$dataset" --json "${OUT:-runs/cross_$dataset}/results.json" "$@"
    ;;
cmsei)
    I2T=${I2T:-runs/${kind}_i2t}
    T2I=${T2I:-runs/${kind}_t2i}
    for version in "$I2T" "$T2I"; do
        scored "$version" "$(folder_of "$version")" "$@"
    done
    exec "$PYTHON" eval_ensemble.py "$(folder_of "$I2T")/results.safetensors" \
        "$(folder_of "$T2I")/results.safetensors" --json "${OUT:-runs/$kind}/results.json"
    ;;
esac
CHECKPOINT=${CHECKPOINT:-runs/$kind}
case ${1:-} in
'' | -*) ;;
*)
    CHECKPOINT=$1
    shift
    ;;
esac
case $feature in
region | vse_infinity_region) set -- --features region "$@" ;;
grid) set -- --features grid "$@" ;;
esac
scored "$CHECKPOINT" "${OUT:-$(folder_of "$CHECKPOINT")}" "$@"
