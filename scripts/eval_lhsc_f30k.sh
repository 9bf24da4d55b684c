#!/bin/sh
# Scores LHSC on Flickr30K: scripts/eval.sh f30k_lhsc.
exec sh "$(dirname -- "$0")/eval.sh" f30k_lhsc "$@"
