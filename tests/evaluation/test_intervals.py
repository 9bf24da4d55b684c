"""Bootstrap and paired test against plain loops."""

import numpy as np
import pytest

from lib.evaluation import intervals
from lib.evaluation.intervals import bootstrap, hits, paired, verdict
from lib.evaluation.metrics import ranks
from lib.evaluation.protocols import evaluate
from tests.support import noisy_scores


def hits_of(seed, n=60):
    scores = np.random.default_rng(seed).standard_normal((n, 5 * n)).astype(np.float32)
    scores[np.arange(n)[:, None], np.arange(5 * n).reshape(n, 5)] += 2
    return hits(*ranks(scores, np.arange(5 * n) // 5))


def test_their_mean_is_the_figures():
    scores = noisy_scores(3, 40)
    (result,) = evaluate(scores, "f30k", "test")
    found = hits(*ranks(scores, np.arange(200) // 5)).mean(axis=0)
    sides = result.metrics.i2t, result.metrics.t2i
    expected = [v for s in sides for v in (s.r1, s.r5, s.r10)]
    np.testing.assert_allclose(found, [*expected, result.metrics.rsum], atol=1e-10)
    i2t, t2i = ranks(scores, np.arange(200) // 5)
    for image, row in enumerate(hits(i2t, t2i)):  # each image's own
        own = t2i[5 * image : 5 * image + 5]
        plain = [100.0 * (i2t[image] < k) for k in (1, 5, 10)]
        plain += [20.0 * sum(rank < k for rank in own) for k in (1, 5, 10)]
        np.testing.assert_allclose(row, [*plain, sum(plain)])


def test_equal_to_a_plain_bootstrap():
    """The same draws, one image at a time."""
    found = hits_of(0)
    generator = np.random.default_rng(7)
    means = []
    for _ in range(600):
        drawn = generator.integers(0, len(found), len(found))
        means.append(sum(found[i] for i in drawn) / len(found))
    expected = np.percentile(means, [5, 95], axis=0)
    interval = bootstrap(found, level=90, resamples=600, seed=7)
    np.testing.assert_allclose([interval.low, interval.high], expected, atol=1e-9)
    assert (interval.level, interval.resamples, interval.seed) == (90, 600, 7)


def test_no_more_counts_are_held_than_the_memory_for_them(monkeypatch):
    """Of 200,000 images 250 draws would take 0.4 GB, several times over."""
    found = hits_of(0)
    whole, drawn = bootstrap(found, resamples=100, seed=7), []
    monkeypatch.setattr(intervals, "COUNTS", 3 * len(found))
    count = np.bincount
    monkeypatch.setattr(np, "bincount", lambda x, **k: drawn.append(len(x)) or count(x, **k))
    assert bootstrap(found, resamples=100, seed=7) == whole
    assert drawn == [3 * len(found)] * 33 + [len(found)]
    monkeypatch.setattr(intervals, "COUNTS", 1)  # fewer than there are images
    assert bootstrap(found, resamples=2, seed=7).resamples == 2


def test_it_covers_the_truth_about_as_often_as_it_says():
    """Of images whose hits have a known mean."""
    generator = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        found = 100.0 * (generator.random((80, 7)) < 0.6)
        interval = bootstrap(found, 90, 300, seed)
        covered += interval.low[0] <= 60 <= interval.high[0]
    assert 165 <= covered <= 195


def test_a_paired_test_equal_to_a_plain_one():
    one, other = hits_of(1), hits_of(2)
    found = paired(one, other, resamples=500, seed=4)
    gaps = one - other
    np.testing.assert_allclose(found.mean, gaps.mean(axis=0))
    generator = np.random.default_rng((4, 1))
    moving = [gap for gap in gaps if np.abs(gap).max() > 0]
    as_large = np.ones(7)
    for _ in range(2):  # chunks
        signs = generator.integers(0, 2, (250, len(moving)), np.int8)
        for row in signs:
            total = sum((2.0 * s - 1) * gap for s, gap in zip(row, moving, strict=True))
            as_large += np.abs(total) >= np.abs(gaps.sum(axis=0)) - 1e-6
    np.testing.assert_allclose(found.p, as_large / 501)


def test_equal_models_do_not_differ_and_better_ones_do():
    same = paired(hits_of(1), hits_of(1), resamples=200)
    assert same.p == (1.0,) * 7 and same.mean == (0.0,) * 7
    assert verdict(same).endswith("the choice of queries alone may explain it")
    worse = hits_of(1)
    better = np.minimum(worse + 40, [100] * 6 + [600])
    found = paired(better, worse, resamples=2000)
    assert found.p[-1] < 0.01 and found.interval.low[-1] > 0
    assert verdict(found).endswith("more than the choice of queries explains")


def test_by_chance_p_is_small_as_seldom_as_it_says():
    small = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        one, other = (100.0 * (generator.random((50, 7)) < 0.5) for _ in range(2))
        small += paired(one, other, resamples=200, seed=seed).p[0] < 0.1
    assert small <= 20


@pytest.mark.parametrize("level", [80, 99])
def test_a_higher_level_is_wider(level):
    found = hits_of(3)
    wide, narrow = bootstrap(found, level, 400), bootstrap(found, 70, 400)
    assert wide.high[-1] - wide.low[-1] > narrow.high[-1] - narrow.low[-1]
