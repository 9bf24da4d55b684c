#!/bin/sh
# Scores hybrid 3SHNet (region + grid) on MS-COCO from the scores that eval_region_coco.sh and
# eval_grid_coco.sh saved; writes results.json into OUT.
#   [REGION=runs/coco_region/results.safetensors] [GRID=runs/coco_grid/results.safetensors] [OUT=runs/coco_hybrid] \
#       sh scripts/eval_hybrid_coco.sh [eval_ensemble.py's arguments ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
exec "$PYTHON" eval_ensemble.py "${REGION:-runs/coco_region/results.safetensors}" \
    "${GRID:-runs/coco_grid/results.safetensors}" --dataset coco --split testall \
    --json "${OUT:-runs/coco_hybrid}/results.json" "$@"
