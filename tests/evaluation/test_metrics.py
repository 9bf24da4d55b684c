import numpy as np
import pytest

from lib.errors import InputError
from lib.evaluation import metrics
from lib.evaluation.metrics import direction_metrics, mean_metrics, ranks, retrieval_metrics
from lib.evaluation.products import Products
from tests.evaluation.recorded import RECORDED, figures, recorded_scores
from tests.support import succeed


def five(n):
    return np.arange(5 * n) // 5


def test_recorded_recalls():
    found = retrieval_metrics(recorded_scores(), five(500))
    np.testing.assert_allclose(figures(found.i2t), RECORDED["full/i2t"], atol=1e-9)
    np.testing.assert_allclose(figures(found.t2i), RECORDED["full/t2i"], atol=1e-9)


def plain_ranks(scores, owner):
    n, m = scores.shape
    i2t = [
        min(
            sum(1 for k in range(m) if owner[k] != i and scores[i, k] >= scores[i, j])
            for j in range(m)
            if owner[j] == i
        )
        for i in range(n)
    ]
    t2i = [
        sum(1 for k in range(n) if k != owner[j] and scores[k, j] >= scores[owner[j], j])
        for j in range(m)
    ]
    return i2t, t2i


@pytest.mark.parametrize("levels", [3, 50])
def test_equals_a_plain_loop_ties_included(levels):
    scores = np.random.default_rng(levels).integers(0, levels, (300, 600)).astype(np.float32)
    owner = np.random.default_rng(1).permutation(np.arange(600) // 2)
    found_i2t, found_t2i = ranks(scores[:30, owner < 30], owner[owner < 30])
    i2t, t2i = plain_ranks(scores[:30, owner < 30], owner[owner < 30])
    assert found_i2t.tolist() == i2t
    assert found_t2i.tolist() == t2i
    whole = ranks(scores, owner)  # more images than one chunk holds
    assert (
        whole[0][299] == ((scores[299] >= scores[299][owner == 299].max()) & (owner != 299)).sum()
    )


def test_ties_count_against_the_model():
    # Image 0's best caption ties with a caption of image 1: rank 2, not 1.
    scores = np.array([[0.5] * 5 + [0.5] + [0.1] * 4, [0.2] * 5 + [0.9] * 5], np.float32)
    i2t, t2i = ranks(scores, five(2))
    assert i2t.tolist() == [1, 0]
    assert t2i.tolist() == [0] * 10


def test_equal_scores_among_own_captions_do_not_hurt():
    scores = np.array([[0.9] * 5 + [0.1] * 5, [0.1] * 5 + [0.9] * 5], np.float32)
    found = retrieval_metrics(scores, five(2))
    assert found.rsum == 600


def test_a_collapsed_model_scores_nothing():
    found = retrieval_metrics(np.full((20, 100), 0.7, np.float32), five(20))
    assert found.rsum == 0
    assert found.i2t.median_rank == 96
    assert found.t2i.mean_rank == 20


def test_blocks_of_more_rows_than_a_byte_counts(monkeypatch):
    """Every image ties with every caption: counts go beyond 255."""
    monkeypatch.setattr(metrics, "THREADS", 1)
    found = ranks(
        Products(np.zeros((700, 1), np.float32), np.zeros((3500, 1), np.float32)), five(700)
    )
    assert found[0].tolist() == [3495] * 700
    assert found[1].tolist() == [699] * 3500


def test_nan_is_refused():
    scores = np.eye(4).repeat(5, axis=1)
    scores[2, 7] = np.nan
    with pytest.raises(InputError, match="NaN"):
        ranks(scores, five(4))


def test_median_is_the_floor_of_the_zero_based_median_plus_one():
    side = direction_metrics(np.array([0, 1, 2, 9]))
    assert side.median_rank == 2  # median 1.5
    assert side.mean_rank == 4
    assert (side.r1, side.r5, side.r10) == (25, 75, 100)
    assert side.average == pytest.approx(200 / 3)


def test_mean_of_folds():
    low = retrieval_metrics(np.full((20, 100), 0.5), five(20))
    high = retrieval_metrics(np.eye(20).repeat(5, axis=1), five(20))
    assert mean_metrics([low, high]).rsum == pytest.approx(300)


def test_metrics_need_no_torch():
    names = "lib.evaluation.metrics, lib.evaluation.protocols, lib.evaluation.report, eval_ensemble"
    code = f"import sys, {names}, lib.evaluation.records; assert 'torch' not in sys.modules"
    succeed("python", "-c", code)
