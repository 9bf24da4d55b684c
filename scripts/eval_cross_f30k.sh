#!/bin/sh
# Scores COCO-trained 3SHNet on Flickr30K: scripts/eval.sh f30k_cross.
exec sh "$(dirname -- "$0")/eval.sh" f30k_cross "$@"
