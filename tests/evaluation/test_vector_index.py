"""An index: what it finds beside brute force, where it is used, and what of it is refused."""

import shutil

import numpy as np
import pytest

from lib.errors import InputError
from lib.evaluation.embedding_shards import EmbeddingShards
from lib.evaluation.index_folder import FOLDER
from lib.evaluation.vector_index import VectorIndex
from lib.evaluation.vectors import How, Vectors, brute_force
from tests.evaluation.indexed import VECTORS


def test_the_best_of_all_lists_are_the_exact_ones(gallery, built):
    shards, queries = EmbeddingShards(gallery[0]), gallery[1]
    exact = brute_force(shards.images, queries, 10)
    scores, numbers = VectorIndex(shards, 16, VECTORS).search(queries, 10)
    np.testing.assert_allclose(scores, exact[0], atol=1e-6)
    assert np.array_equal(numbers, exact[1])
    _, few = VectorIndex(shards, 2, 100).search(queries, 10)
    hits = sum(len(np.intersect1d(a, b)) for a, b in zip(few, exact[1], strict=True))
    assert 100 < hits <= 200
    assert (VectorIndex(shards, 1, 20).search(queries, VECTORS)[1] == -1).any()


def test_it_is_used_where_it_is(gallery, built):
    folder, queries = gallery
    with_index, exact = Vectors(folder, How(probes=8)), Vectors(folder, How(exact=True))
    assert "by their index (8 of 16 lists, the best 1,000 scored exactly)" in with_index.told
    assert "compared one by one" in exact.told
    assert with_index.search(queries, 1)[1].shape == (20, 1)


@pytest.mark.parametrize("name", ["index.faiss", "index.ivfdata"])
def test_a_file_that_was_cut_short_is_refused(gallery, built, tmp_path, name):
    moved = shutil.copytree(gallery[0], tmp_path / "e")
    path = moved / FOLDER / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="missing, or cut short"):
        Vectors(moved)


def test_nothing_is_printed_by_faiss(gallery, built, capfd, tmp_path):
    moved = shutil.copytree(gallery[0], tmp_path / "moved")
    assert Vectors(moved).index is not None
    assert capfd.readouterr() == ("", "")
