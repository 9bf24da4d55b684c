#!/bin/sh
# Trains CMSEI's version I-T on Flickr30K: scripts/train.sh f30k_cmsei_i2t.
exec sh "$(dirname -- "$0")/train.sh" f30k_cmsei_i2t "$@"
