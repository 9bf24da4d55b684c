#!/bin/sh
# Scores LHSC on MS-COCO: scripts/eval.sh coco_lhsc.
exec sh "$(dirname -- "$0")/eval.sh" coco_lhsc "$@"
