#!/bin/sh
# Scores 3SHNet's released COCO region checkpoint and sets the recalls of its five folds beside the
# authors' own: thirty figures, pass or fail each, within 0.15 points. Ends with status 1 unless all
# pass. Writes results.json into OUT. docs/reproduce.md says which files it needs.
#   [DATA_PATH=data] [OUT=CHECKPOINT's folder] [CUDA_VISIBLE_DEVICES=0] [PROCESSES=1] \
#       sh scripts/verify_release.sh CHECKPOINT [eval.py's arguments ...]
. "$(dirname -- "$0")/help.sh"
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
if [ $# -eq 0 ]; then
    echo "error: give the checkpoint: sh scripts/verify_release.sh model_best.pth" >&2
    exit 2
fi
. scripts/setup.sh
checkpoint=$1
shift
[ ! -d "$checkpoint" ] || checkpoint=$checkpoint/model_best.pth
OUT=${OUT:-$(dirname -- "$checkpoint")}
$LAUNCH eval.py --checkpoint "$checkpoint" --features region --data_path "${DATA_PATH:-data}" \
    --dataset coco --json "$OUT/results.json" "$@"
"$PYTHON" scripts/compare_folds.py "$OUT/results.json"
