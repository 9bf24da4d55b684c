#!/bin/sh
# Trains LHSC on MS-COCO: scripts/train.sh coco_lhsc.
exec sh "$(dirname -- "$0")/train.sh" coco_lhsc "$@"
