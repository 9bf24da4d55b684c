"""Scores that are computed in blocks are those of the whole matrix, and so are ranks of them."""

import numpy as np
import pytest

from lib.evaluation import products
from lib.evaluation.intervals import hits
from lib.evaluation.metrics import ranks
from lib.evaluation.products import MeanScores, Products, matrix_of
from lib.evaluation.protocols import protocol_ranks


def vectors(images, width=8, levels=None):
    generator = np.random.default_rng(images)
    sides = (images, width), (5 * images, width)
    if levels:  # few values, so that many scores are equal
        return [generator.integers(0, levels, side).astype(np.float32) for side in sides]
    return [generator.standard_normal(side, np.float32) for side in sides]


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(products, "BLOCK", (4, 15))
    monkeypatch.setattr(Products, "block", (4, 15))
    monkeypatch.setattr(MeanScores, "block", (4, 15))


@pytest.mark.parametrize("levels", [None, 2])
@pytest.mark.parametrize("dataset", ["f30k", "coco"])
def test_ranks_need_no_matrix(small_blocks, levels, dataset):
    images, captions = vectors(35, levels=levels)
    matrix = images @ captions.T
    lazy = Products(images.astype(np.float64), captions)
    np.testing.assert_allclose(matrix_of(lazy), matrix, atol=1e-5)
    found = protocol_ranks(lazy, dataset, "testall")
    wanted = protocol_ranks(matrix_of(lazy), dataset, "testall")
    for one, other in zip(found, wanted, strict=True):
        assert np.array_equal(one.hits(), other.hits())
        for a, b in zip(one.folds, other.folds, strict=True):
            assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    if dataset == "coco":  # each fold as a split of its own
        owner = np.arange(35) // 5
        for number, fold in enumerate(found[0].folds):
            part = matrix_of(lazy)[7 * number : 7 * number + 7, 35 * number : 35 * number + 35]
            assert np.array_equal(hits(*fold), hits(*ranks(part, owner)))


def test_blocks_are_all_that_is_asked_for(small_blocks):
    images, captions = vectors(20)
    asked = []

    def score(some, others):
        asked.append((len(some), len(others)))
        return some @ others.T

    protocol_ranks(Products(images, captions, score), "f30k", "test")
    assert max(a * b for a, b in asked) <= 4 * 15
    # All once, and of the ten blocks with own pairs the last five once more: five are kept.
    assert sum(a * b for a, b in asked) == 20 * 100 + 4 * 4 * 15 + 4 * 10


def test_captions_that_there_are_not(small_blocks):
    images, captions = vectors(6)
    absent = np.zeros(30, bool)
    absent[[0, 29]] = True
    found = matrix_of(Products(images, captions, absent=absent))
    assert np.isneginf(found[:, [0, 29]]).all()
    assert np.isfinite(found[:, 1:29]).all()


def test_a_mean_in_blocks(small_blocks):
    one, other = (Products(*vectors(n, width=n)) for n in (9, 9))
    other = Products(one.images[::-1], one.captions)
    mean = MeanScores([one, other, matrix_of(one)], [0.5, 0.25, 0.25])
    wanted = 0.75 * matrix_of(one) + 0.25 * matrix_of(other)
    np.testing.assert_allclose(matrix_of(mean), wanted, atol=1e-6)
    found, expected = (protocol_ranks(s, "f30k", "test")[0].hits() for s in (mean, wanted))
    assert np.array_equal(found, expected)


def test_a_small_matrix_is_computed_once():
    images, captions = vectors(10)
    calls = []
    lazy = Products(images, captions, lambda a, b: calls.append(1) or a @ b.T)
    protocol_ranks(lazy, "f30k", "test")
    assert len(calls) == 1
