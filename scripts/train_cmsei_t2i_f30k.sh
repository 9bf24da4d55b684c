#!/bin/sh
# Trains CMSEI's version T-I on Flickr30K: scripts/train.sh f30k_cmsei_t2i.
exec sh "$(dirname -- "$0")/train.sh" f30k_cmsei_t2i "$@"
