#!/bin/sh
# Trains grid-level VSE-infinity from pixels on MS-COCO: scripts/train.sh coco_vse_infinity_grid.
exec sh "$(dirname -- "$0")/train.sh" coco_vse_infinity_grid "$@"
