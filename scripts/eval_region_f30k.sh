#!/bin/sh
# Scores region-level 3SHNet on Flickr30K: scripts/eval.sh f30k_region.
exec sh "$(dirname -- "$0")/eval.sh" f30k_region "$@"
