#!/bin/sh
# Trains grid-level 3SHNet on Flickr30K: scripts/train.sh f30k_grid.
exec sh "$(dirname -- "$0")/train.sh" f30k_grid "$@"
