#!/bin/sh
# Trains grid-level VSE-infinity from pixels on Flickr30K: scripts/train.sh f30k_vse_infinity_grid.
exec sh "$(dirname -- "$0")/train.sh" f30k_vse_infinity_grid "$@"
