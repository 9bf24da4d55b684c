"""A gallery of vectors in shards, and its index, which several tests search."""

import faiss
import numpy as np
import pytest

from lib.evaluation import index_builder
from lib.evaluation.embedding_shards import EmbeddingShards
from lib.evaluation.index_builder import build_index
from lib.evaluation.index_folder import FOLDER
from tests.evaluation.indexed import SHAPE, VECTORS, WIDTH
from tests.evaluation.shards import write_shards


@pytest.fixture(scope="module")
def quickly():
    """One round of OPQ's training is as good as ten to tell what is built of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_builder, "ROTATIONS", 1)
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)  # small products wait longer for threads than for sums
        yield
        faiss.omp_set_num_threads(threads)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """Vectors around some centres, in 16 shards, and queries near them."""
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((50, WIDTH))
    rows = centres[generator.integers(0, 50, VECTORS)]
    rows = rows + 0.3 * generator.standard_normal(rows.shape)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    folder = tmp_path_factory.mktemp("gallery") / "e"
    write_shards(folder, rows, [f"{i:05}" for i in range(VECTORS)])
    queries = centres[:20] + 0.1 * generator.standard_normal((20, WIDTH))
    return folder, queries.astype(np.float32)


@pytest.fixture(scope="module")
def built(quickly, gallery):
    told = []
    assert build_index(EmbeddingShards(gallery[0]), SHAPE, say=told.append)
    assert "trained OPQ4_8,IVF16,PQ4np" in told[0]
    assert "10,000 vectors in 16 lists" in told[-1]
    return gallery[0] / FOLDER
