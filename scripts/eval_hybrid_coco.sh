#!/bin/sh
# Scores hybrid 3SHNet (region + grid) on MS-COCO: scripts/eval.sh coco_hybrid.
exec sh "$(dirname -- "$0")/eval.sh" coco_hybrid "$@"
