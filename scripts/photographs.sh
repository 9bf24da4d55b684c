#!/bin/sh
# Everything from photographs to a table of results, with models of random weights: no network is
# needed, and the figures mean nothing. FOLDER holds images/ and annotations.json, COCO's captions
# and instance polygons; tests/photographs is a small one.
#   [DATA_PATH=data/photographs] [OUT=runs/photographs] \
#       sh scripts/photographs.sh FOLDER [section.key=value ...]
. "$(dirname -- "$0")/help.sh"
set -eu
if [ $# -lt 1 ] || [ ! -f "$1/annotations.json" ] || [ ! -d "$1/images" ]; then
    echo "usage: sh scripts/photographs.sh FOLDER, with FOLDER/images/ and FOLDER/annotations.json" >&2
    exit 2
fi
folder=$(CDPATH='' cd -- "$1" && pwd)
shift
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
DATA_PATH=${DATA_PATH:-data/photographs}
OUT=${OUT:-runs/photographs}
result=$DATA_PATH/annotations
export DATA_PATH OUT

echo "== polygons to a panoptic result, captions to a table"
"$PYTHON" scripts/convert_instances.py --annotations "$folder/annotations.json" --out "$result"

WEIGHTS=random DETECTOR=random BERT=${BERT:-small} PANOPTIC_JSON=$result/panoptic.json \
    PANOPTIC_PNG=$result/panoptic \
    sh scripts/own_pictures.sh "$folder/images" "$result/captions.txt" train.epochs=2 "$@"

echo "== and once more segmentation, by a panoptic model instead of the polygons"
trial=$DATA_PATH/panoptic_model
mkdir -p "$trial"
cp "$DATA_PATH"/mine_precomp/*_ids.txt "$trial"
"$PYTHON" scripts/extract_segmentation.py --images "$folder/images" --data "$trial" \
    --mapping "$DATA_PATH/mine_precomp/pictures.json" --model random
