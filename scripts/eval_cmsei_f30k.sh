#!/bin/sh
# Scores both versions of CMSEI on Flickr30K and their mean: scripts/eval.sh f30k_cmsei.
exec sh "$(dirname -- "$0")/eval.sh" f30k_cmsei "$@"
