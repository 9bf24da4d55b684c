"""Brute force over blocks, files and folders finds what a sort of all scores finds."""

import numpy as np
import pytest

from lib.errors import InputError
from lib.evaluation import vectors
from lib.evaluation.search import best_of
from lib.evaluation.vectors import Vectors, brute_force, require_width, top
from tests.evaluation.shards import write_shards
from tests.support import write_embeddings


@pytest.mark.parametrize("levels", [3, 1000])
@pytest.mark.parametrize("k", [1, 7, 100])
def test_equal_scores_stand_in_their_order(monkeypatch, levels, k):
    monkeypatch.setattr(vectors, "BLOCK", 16)
    generator = np.random.default_rng(levels)
    images = generator.integers(0, levels, (50, 3)).astype(np.float16)
    queries = generator.integers(0, levels, (4, 3)).astype(np.float32)
    scores, numbers = brute_force(images, queries, k)
    wanted = queries @ images.astype(np.float32).T
    for row in range(4):
        order = np.argsort(-wanted[row], kind="stable")[:k]
        assert numbers[row].tolist() == order.tolist()
        assert scores[row].tolist() == wanted[row][order].tolist()
        assert top(wanted[row], k).tolist() == order.tolist()


def test_files_and_folders_together(tmp_path):
    generator = np.random.default_rng(0)
    images = generator.standard_normal((30, 4)).astype(np.float16)
    write_embeddings(
        tmp_path / "a.safetensors", images[:10].astype(np.float32),
        np.ones((50, 4), np.float32), [str(i) for i in range(10)],
    )  # fmt: skip
    write_shards(tmp_path / "b", images[10:], [str(i) for i in range(10, 30)])
    both = [Vectors(tmp_path / "a.safetensors"), Vectors(tmp_path / "b")]
    query = generator.standard_normal((1, 4)).astype(np.float32)
    (found,) = best_of(both, query, 8)
    order = np.argsort(-(query @ images.astype(np.float32).T)[0])[:8]
    assert [one.image_id for one in found] == [str(i) for i in order]
    assert both[1].advice is None
    assert both[1].told == f"20 vectors of {tmp_path / 'b'}, compared one by one"
    with pytest.raises(InputError, match=r"width 4, x\.pth makes 5; save them again"):
        require_width(both, 5, "x.pth")


def test_many_vectors_are_worth_an_index(tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "MANY", 19)
    write_shards(tmp_path / "b", np.ones((20, 4), np.float16), [str(i) for i in range(20)])
    assert "python scripts/build_index.py" in Vectors(tmp_path / "b").advice
