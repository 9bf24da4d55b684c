#!/bin/sh
# Trains CMSEI's version T-I on MS-COCO: scripts/train.sh coco_cmsei_t2i.
exec sh "$(dirname -- "$0")/train.sh" coco_cmsei_t2i "$@"
