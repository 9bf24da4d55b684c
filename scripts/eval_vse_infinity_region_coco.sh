#!/bin/sh
# Scores region-level VSE-infinity on MS-COCO: scripts/eval.sh coco_vse_infinity_region.
exec sh "$(dirname -- "$0")/eval.sh" coco_vse_infinity_region "$@"
