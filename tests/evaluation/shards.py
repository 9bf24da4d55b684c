"""A folder of embeddings in shards, as eval.py --save_embeddings FOLDER writes it."""

import numpy as np

from lib.evaluation.embedding_shards import EmbeddingShards
from lib.evaluation.records import Origin
from lib.evaluation.shard_writer import ShardWriter

ABOUT = ("scenes", "test", Origin("a.pth"))


def write_shards(folder, images, ids, captions=None, dtype="float16", key="x"):
    """(n, D) images and, if given, (5n, D) captions; a shard is of batches of 4."""
    writer = ShardWriter(folder, ids, ABOUT, {"key": key}, dtype, 4)
    for shard in writer.shards:
        own = None if captions is None else captions[5 * shard.start : 5 * shard.stop]
        writer.write(shard, images[shard.start : shard.stop], own)
    found = writer.merge()
    assert isinstance(found, EmbeddingShards)
    return found


def some(images=21, width=6):
    """Images and captions of random directions, and ids."""
    generator = np.random.default_rng(images)
    rows = generator.standard_normal((6 * images, width), np.float32)
    return rows[:images], rows[images:], [f"{i:03}" for i in range(images)]
