#!/bin/sh
# Everything for a folder of pictures of one's own: makes every input file, trains 3SHNet on
# regions and on grids, evaluates both and their hybrid, and searches all pictures with a sentence.
#   [DATA_PATH=data] [OUT=runs/mine] [QUERY="two dogs on a beach"] [CUDA_VISIBLE_DEVICES=0] \
#       sh scripts/own_pictures.sh PICTURES/ captions.csv [--init CHECKPOINT] \
#       [section.key=value ...]
# captions.csv begins with the line image,caption and holds such lines, best five per picture;
# other forms are in scripts/prepare_captions.py. --init starts from a trained model, of whose
# features alone it makes and trains one run. Models come from torchvision, timm and the Hugging
# Face hub; where these cannot be reached, name files. Without a GPU small ones are taken, which is
# said:
#                        with a GPU           without one
#   BACKBONE             resnext101_32x8d     timm:tf_efficientnet_lite2    of grids and regions
#   WEIGHTS              imagenet             of its package, or imagenet   or a file, or random
#   DETECTOR             coco                 coco_small                    or a file, or random
#   PANOPTIC             a Mask2Former        none: boxes are painted       of the hub, or random
#   BERT                 bert-base-uncased    all-MiniLM-L6-v2              of the hub, a folder, or
#                                             small (from the captions, untrained)
#   PANOPTIC_JSON=F and PANOPTIC_PNG=FOLDER   a result in COCO's panoptic format
# It may be stopped; started again, it continues where it was. A finished training is kept.
. "$(dirname -- "$0")/help.sh"
set -eu
usage="usage: sh scripts/own_pictures.sh PICTURES/ captions.csv [--init CHECKPOINT] [section.key=value ...]"
if [ $# -lt 2 ]; then
    echo "$usage" >&2
    exit 2
fi
[ -d "$1" ] || { echo "error: $1: no such folder of pictures; $usage" >&2; exit 2; }
[ -f "$2" ] || { echo "error: $2: no such file of captions; $usage" >&2; exit 2; }
if [ -n "${PANOPTIC_JSON:-}" ] && [ ! -d "${PANOPTIC_PNG:-}" ]; then
    echo "error: PANOPTIC_JSON needs PANOPTIC_PNG, the folder of its PNGs" >&2
    exit 2
fi
absolute() { # of a file or folder
    echo "$(CDPATH='' cd -- "$(dirname -- "$1")" && pwd)/$(basename -- "$1")"
}
[ -z "${PANOPTIC_JSON:-}" ] || PANOPTIC_JSON=$(absolute "$PANOPTIC_JSON")
[ -z "${PANOPTIC_PNG:-}" ] || PANOPTIC_PNG=$(absolute "$PANOPTIC_PNG")
pictures=$(CDPATH='' cd -- "$1" && pwd)
captions=$(absolute "$2")
shift 2
init=
if [ "${1:-}" = --init ]; then
    init=${2:-}
    [ ! -d "$init" ] || init=$init/model_best.pth
    if [ ! -f "$init" ]; then
        echo "error: --init ${2:-}: no such run or checkpoint" >&2
        exit 2
    fi
    init=$(CDPATH='' cd -- "$(dirname -- "$init")" && pwd)/$(basename -- "$init")
    shift 2
fi
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
. scripts/small_models.sh
DATA_PATH=${DATA_PATH:-data}
OUT=${OUT:-runs/mine}
data=$DATA_PATH/mine_precomp

kinds="region grid"
regions=36
cells=
if [ -n "$init" ]; then
    found=$("$PYTHON" scripts/fine_tune_config.py --checkpoint "$init" --print)
    kinds=$(echo "$found" | cut -d ' ' -f 1)
    BACKBONE=${BACKBONE:-$(echo "$found" | cut -d ' ' -f 3)}
    size=$(echo "$found" | cut -d ' ' -f 2)
    case $found in
    region*) regions=$size ;;
    *all*) ;; # cells
    *) cells=$size ;;
    esac
fi
bert=${BERT:-} # of a checkpoint's text network only if it is somewhere else now
small=$("$PYTHON" -c 'import torch; print("" if torch.cuda.is_available() else "yes")')
if [ -n "$small" ]; then
    BACKBONE=${BACKBONE:-$SMALL_BACKBONE}
    DETECTOR=${DETECTOR:-coco_small}
    BERT=${BERT:-$SMALL_BERT}
    words=$BERT
    [ -z "$init" ] || words="the checkpoint's network"
    echo "No GPU: features come from $BACKBONE, boxes from $DETECTOR, words from $words;" \
        "BACKBONE, DETECTOR, PANOPTIC and BERT choose others (see the head of $0)."
fi
BACKBONE=${BACKBONE:-resnext101_32x8d}
BERT=${BERT:-bert-base-uncased}
if [ "$BACKBONE" = "$SMALL_BACKBONE" ]; then
    WEIGHTS=${WEIGHTS:-$SMALL_WEIGHTS}
fi

echo "== 1 of 7: captions and splits"
"$PYTHON" scripts/prepare_captions.py --table "$captions" --images "$pictures" --out "$data"
if [ "$BERT" = small ]; then
    BERT=$data/bert
    bert=${bert:+$BERT}
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
case " $kinds " in
*" grid "*)
    extract extract_grid --backbone "$BACKBONE" --weights "${WEIGHTS:-imagenet}" \
        ${cells:+--grid_size "$cells"}
    ;;
*) echo "none: $init reads regions alone" ;;
esac

echo "== 3 of 7: segmentation"
boxes=
if [ -n "${PANOPTIC_JSON:-}" ]; then
    "$PYTHON" scripts/convert_panoptic.py --data "$data" \
        --json "$PANOPTIC_JSON" --png "$PANOPTIC_PNG"
elif [ -n "${PANOPTIC:-}" ] || [ -z "$small" ]; then
    extract extract_segmentation ${PANOPTIC:+--model "$PANOPTIC"}
fi
case $BACKBONE in
timm:*) detects=yes ;; # it sees pictures too small for a detector
*) detects=$small ;;
esac
if [ -n "$detects" ] && [ -n "$small$(echo " $kinds " | grep ' region ' || :)" ]; then
    boxes=$data/detections.json
    extract detect_objects --detector "${DETECTOR:-coco}"
    if [ -n "$small" ] && [ -z "${PANOPTIC_JSON:-}${PANOPTIC:-}" ]; then
        "$PYTHON" scripts/convert_panoptic.py --data "$data" --boxes "$boxes" \
            --images "$pictures" --mapping "$data/pictures.json"
    fi
fi

echo "== 4 of 7: regions"
case " $kinds " in
*" region "*)
    if [ -n "$boxes" ]; then
        set -- --boxes "$boxes" "$@"
    else
        set -- --detector "${DETECTOR:-coco}" "$@"
    fi
    extract extract_regions --backbone "$BACKBONE" --weights "${WEIGHTS:-imagenet}" \
        --regions "$regions" "$1" "$2"
    shift 2
    ;;
*) echo "none: $init reads grids alone" ;;
esac

echo "== 5 of 7: training on $(echo "$kinds" | sed 's/ /s and /')s"
channels() { # of the features, from the head of an array
    "$PYTHON" -c 'import sys, numpy; print(numpy.load(sys.argv[1], mmap_mode="r").shape[-1])' "$1"
}
for kind in $kinds; do
    if [ -n "$init" ]; then
        config=$OUT/fine_tune.yaml
        "$PYTHON" scripts/fine_tune_config.py --checkpoint "$init" --out "$config"
        "$PYTHON" train.py --config "$config" --resume data.root="$DATA_PATH" \
            run.out="$OUT/$kind" ${bert:+model.bert="$bert"} "$@"
    else
        if [ "$kind" = region ]; then
            file=$data/train_ims.npy
        else
            file=$data/grids/$(head -n 1 "$data/train_ids.txt").npy
        fi
        "$PYTHON" train.py --config "configs/mine_$kind.yaml" --resume data.root="$DATA_PATH" \
            model.bert="$BERT" model.img_dim="$(channels "$file")" run.out="$OUT/$kind" "$@"
    fi
done

echo "== 6 of 7: evaluating on pictures that training never saw"
for kind in $kinds; do
    "$PYTHON" eval.py --checkpoint "$OUT/$kind/model_best.pth" --data_path "$DATA_PATH" \
        --dataset mine --save_results "$OUT/$kind/results.safetensors" \
        --json "$OUT/$kind/results.json"
done
if [ "$kinds" = "region grid" ]; then
    "$PYTHON" eval_ensemble.py "$OUT/region/results.safetensors" "$OUT/grid/results.safetensors" \
        --json "$OUT/hybrid/results.json"
    "$PYTHON" scripts/results_table.py "$OUT/region" "$OUT/grid" "$OUT/hybrid"
fi

echo "== 7 of 7: searching all pictures with a sentence"
first=$OUT/${kinds%% *}
for split in train dev test; do
    "$PYTHON" eval.py --checkpoint "$first" --data_path "$DATA_PATH" --dataset mine \
        --split "$split" --save_embeddings "$first/embeddings/$split.safetensors" > /dev/null
done
"$PYTHON" scripts/search.py --checkpoint "$first" --images "$pictures" -k 5 \
    --query "${QUERY:-$(head -n 1 "$data/test_caps.txt")}"
echo
echo "Search again, and look at what is found:"
echo "    $PYTHON scripts/search.py --checkpoint '$first' --images '$pictures' \\"
echo "        --html found.html --query \"...\""
