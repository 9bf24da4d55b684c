#!/bin/sh
# Trains region-level VSE-infinity on MS-COCO: scripts/train.sh coco_vse_infinity_region.
exec sh "$(dirname -- "$0")/train.sh" coco_vse_infinity_region "$@"
