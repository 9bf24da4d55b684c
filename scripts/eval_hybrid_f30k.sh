#!/bin/sh
# Scores hybrid 3SHNet (region + grid) on Flickr30K from the scores that eval_region_f30k.sh and
# eval_grid_f30k.sh saved; writes results.json into OUT.
#   [REGION=runs/f30k_region/results.safetensors] [GRID=runs/f30k_grid/results.safetensors] [OUT=runs/f30k_hybrid] \
#       sh scripts/eval_hybrid_f30k.sh [eval_ensemble.py's arguments ...]
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. scripts/setup.sh
exec "$PYTHON" eval_ensemble.py "${REGION:-runs/f30k_region/results.safetensors}" \
    "${GRID:-runs/f30k_grid/results.safetensors}" --dataset f30k --split test \
    --json "${OUT:-runs/f30k_hybrid}/results.json" "$@"
