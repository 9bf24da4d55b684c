#!/bin/sh
# Scores grid-level 3SHNet on Flickr30K: scripts/eval.sh f30k_grid.
exec sh "$(dirname -- "$0")/eval.sh" f30k_grid "$@"
