#!/bin/sh
# Scores grid-level VSE-infinity from pixels on MS-COCO: scripts/eval.sh coco_vse_infinity_grid.
exec sh "$(dirname -- "$0")/eval.sh" coco_vse_infinity_grid "$@"
