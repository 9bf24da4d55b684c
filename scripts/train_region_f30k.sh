#!/bin/sh
# Trains region-level 3SHNet on Flickr30K: scripts/train.sh f30k_region.
exec sh "$(dirname -- "$0")/train.sh" f30k_region "$@"
