#!/bin/sh
# Trains LHSC on Flickr30K: scripts/train.sh f30k_lhsc.
exec sh "$(dirname -- "$0")/train.sh" f30k_lhsc "$@"
