#!/bin/sh
# Scores grid-level 3SHNet on MS-COCO: scripts/eval.sh coco_grid.
exec sh "$(dirname -- "$0")/eval.sh" coco_grid "$@"
