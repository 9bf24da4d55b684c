#!/bin/sh
# Trains CMSEI's version I-T on MS-COCO: scripts/train.sh coco_cmsei_i2t.
exec sh "$(dirname -- "$0")/train.sh" coco_cmsei_i2t "$@"
