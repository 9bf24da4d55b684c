"""The gallery that has an index, in the fixtures of conftest.py."""

import shutil

from lib.evaluation.embedding_shards import EmbeddingShards
from lib.evaluation.index_builder import Shape
from lib.evaluation.index_folder import FOLDER

SHAPE = Shape(lists=16, code=4)
VECTORS, WIDTH = 10_000, 8


def copied(gallery, folder):
    """The shards of ``gallery`` alone in ``folder``."""
    return EmbeddingShards(shutil.copytree(gallery[0], folder, ignore=lambda *_: [FOLDER]))
