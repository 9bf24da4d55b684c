#!/bin/sh
# Trains region-level VSE-infinity on Flickr30K: scripts/train.sh f30k_vse_infinity_region.
exec sh "$(dirname -- "$0")/train.sh" f30k_vse_infinity_region "$@"
