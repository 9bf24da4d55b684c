#!/bin/sh
# Scores both versions of CMSEI on MS-COCO and their mean: scripts/eval.sh coco_cmsei.
exec sh "$(dirname -- "$0")/eval.sh" coco_cmsei "$@"
