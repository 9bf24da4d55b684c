#!/bin/sh
# Everything for a folder of pictures of one's own: makes every input file, trains 3SHNet on regions
# and on grids, evaluates both and their hybrid, and searches all pictures with a sentence.
#   [DATA_PATH=data] [OUT=runs/mine] [QUERY="two dogs on a beach"] [CUDA_VISIBLE_DEVICES=0] \
#       sh scripts/own_pictures.sh PICTURES/ captions.txt [section.key=value ...]
# captions.txt holds lines of a picture's file name, a tab and a sentence, best five per picture.
# Models come from torchvision and the Hugging Face hub; where these cannot be reached, name files:
#   WEIGHTS=imagenet     of grids and regions: X-101.pth, imagenet, or random (to try the rest)
#   DETECTOR=coco        of regions: a file, coco, or random
#   PANOPTIC=NAME        of the hub, a folder, or random; or PANOPTIC_JSON=F and PANOPTIC_PNG=FOLDER,
#                        a result in COCO's panoptic format
#   BERT=NAME            of the hub, a folder, or small (made from the captions, untrained)
# It may be stopped; started again, it continues where it was. A finished training is kept.
set -eu
if [ $# -lt 2 ] || [ ! -d "$1" ] || [ ! -f "$2" ]; then
    echo "usage: sh scripts/own_pictures.sh PICTURES/ captions.txt [section.key=value ...]" >&2
    exit 2
fi
if [ -n "${PANOPTIC_JSON:-}" ] && [ ! -d "${PANOPTIC_PNG:-}" ]; then
    echo "error: PANOPTIC_JSON needs PANOPTIC_PNG, the folder of its PNGs" >&2
    exit 2
fi
pictures=$(CDPATH='' cd -- "$1" && pwd)
captions=$(CDPATH='' cd -- "$(dirname -- "$2")" && pwd)/$(basename -- "$2")
shift 2
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
DATA_PATH=${DATA_PATH:-data}
OUT=${OUT:-runs/mine}
data=$DATA_PATH/mine_precomp
BERT=${BERT:-bert-base-uncased}

echo "== 1 of 7: captions and splits"
"$PYTHON" scripts/prepare_captions.py --table "$captions" --images "$pictures" --out "$data"
if [ "$BERT" = small ]; then
    BERT=$data/bert
    if [ ! -f "$BERT/model.safetensors" ]; then
        "$PYTHON" -m lib.demo.small_bert --captions "$data/train_caps.txt" --out "$BERT"
    fi
fi

extract() { # extract SCRIPT [ARGUMENT ...]
    script=$1
    shift
    "$PYTHON" "scripts/$script.py" --images "$pictures" --mapping "$data/pictures.json" \
        --data "$data" "$@"
}

echo "== 2 of 7: grids"
extract extract_grid --weights "${WEIGHTS:-imagenet}"

echo "== 3 of 7: segmentation"
if [ -n "${PANOPTIC_JSON:-}" ]; then
    "$PYTHON" scripts/convert_panoptic.py --data "$data" \
        --json "$PANOPTIC_JSON" --png "$PANOPTIC_PNG"
else
    extract extract_segmentation ${PANOPTIC:+--model "$PANOPTIC"}
fi

echo "== 4 of 7: regions"
extract extract_regions --weights "${WEIGHTS:-imagenet}" --detector "${DETECTOR:-coco}"

echo "== 5 of 7: training on regions and on grids"
for features in region grid; do
    "$PYTHON" train.py --config "configs/mine_$features.yaml" --resume \
        data.root="$DATA_PATH" model.bert="$BERT" run.out="$OUT/$features" "$@"
done

echo "== 6 of 7: evaluating both and their hybrid on pictures that training never saw"
for features in region grid; do
    "$PYTHON" eval.py --checkpoint "$OUT/$features/model_best.pth" --data_path "$DATA_PATH" \
        --dataset mine --save_results "$OUT/$features/results.safetensors" \
        --json "$OUT/$features/results.json"
done
"$PYTHON" eval_ensemble.py "$OUT/region/results.safetensors" "$OUT/grid/results.safetensors" \
    --json "$OUT/hybrid/results.json"
"$PYTHON" scripts/results_table.py --format markdown "$OUT/region" "$OUT/grid" "$OUT/hybrid"

echo "== 7 of 7: searching all pictures with a sentence"
for split in train dev test; do
    "$PYTHON" eval.py --checkpoint "$OUT/region/model_best.pth" --data_path "$DATA_PATH" \
        --dataset mine --split "$split" --save_embeddings "$OUT/embeddings/$split.safetensors" \
        >/dev/null
done
search() {
    "$PYTHON" -m lib.evaluation.search --checkpoint "$OUT/region/model_best.pth" --embeddings \
        "$OUT/embeddings/train.safetensors" "$OUT/embeddings/dev.safetensors" "$OUT/embeddings/test.safetensors" "$@"
}
search --query "${QUERY:-$(head -n 1 "$data/test_caps.txt")}" -k 5
echo
echo "Search again: $PYTHON -m lib.evaluation.search --checkpoint $OUT/region/model_best.pth" \
    "--embeddings $OUT/embeddings/train.safetensors $OUT/embeddings/dev.safetensors $OUT/embeddings/test.safetensors --query \"...\""
