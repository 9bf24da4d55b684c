#!/bin/sh
# Trains region-level 3SHNet on MS-COCO: scripts/train.sh coco_region.
exec sh "$(dirname -- "$0")/train.sh" coco_region "$@"
