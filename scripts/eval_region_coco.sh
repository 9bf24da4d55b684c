#!/bin/sh
# Scores region-level 3SHNet on MS-COCO: scripts/eval.sh coco_region.
exec sh "$(dirname -- "$0")/eval.sh" coco_region "$@"
