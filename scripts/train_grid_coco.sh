#!/bin/sh
# Trains grid-level 3SHNet on MS-COCO: scripts/train.sh coco_grid.
exec sh "$(dirname -- "$0")/train.sh" coco_grid "$@"
