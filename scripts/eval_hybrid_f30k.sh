#!/bin/sh
# Scores hybrid 3SHNet (region + grid) on Flickr30K: scripts/eval.sh f30k_hybrid.
exec sh "$(dirname -- "$0")/eval.sh" f30k_hybrid "$@"
