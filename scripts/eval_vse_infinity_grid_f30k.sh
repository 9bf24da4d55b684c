#!/bin/sh
# Scores grid-level VSE-infinity from pixels on Flickr30K: scripts/eval.sh f30k_vse_infinity_grid.
exec sh "$(dirname -- "$0")/eval.sh" f30k_vse_infinity_grid "$@"
