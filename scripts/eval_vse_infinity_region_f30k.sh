#!/bin/sh
# Scores region-level VSE-infinity on Flickr30K: scripts/eval.sh f30k_vse_infinity_region.
exec sh "$(dirname -- "$0")/eval.sh" f30k_vse_infinity_region "$@"
