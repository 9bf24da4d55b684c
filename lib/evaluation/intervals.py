"""What a difference of recalls means: bootstrap intervals and a paired test, over queries.

An image is drawn together with its five captions, because captions of one image are not independent
queries; the gallery stays whole. Seeds are another matter: no test over queries sees that another
training would have given other weights."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lib.data.captions import CAPTIONS_PER_IMAGE

FIGURES = 7  # i2t R@1, R@5, R@10, t2i R@1, R@5, R@10, rSum
RESAMPLES = 10_000
CHUNK, COUNTS = 250, 5_000_000  # most resamples, and counts of images, drawn at once: 40 MB


@dataclass(frozen=True)
class Interval:
    """A percentile bootstrap's interval of the seven figures, percent."""

    level: float  # as in 95
    resamples: int
    seed: int
    low: tuple[float, ...]  # (7,)
    high: tuple[float, ...]


@dataclass(frozen=True)
class Difference:
    """One model's figures less another's, on the same queries."""

    mean: tuple[float, ...]  # (7,), percent
    interval: Interval
    p: tuple[float, ...]  # two-sided, of a sign-flip test per figure


def hits(i2t: np.ndarray, t2i: np.ndarray) -> np.ndarray:
    """0-based ranks, (n,) of images and (5n,) of captions -> (n, 7) float64: what each image and
    its captions add to the seven figures; their mean over images is the figures, percent."""
    by_image = t2i.reshape(-1, CAPTIONS_PER_IMAGE)
    columns = [100.0 * (i2t < k) for k in (1, 5, 10)]
    columns += [100.0 * (by_image < k).mean(axis=1) for k in (1, 5, 10)]
    return np.stack([*columns, np.sum(columns, axis=0)], axis=1)


def _sizes(resamples: int, images: int) -> Iterator[int]:
    """How many of ``resamples`` are drawn at once, each of so many images."""
    most = max(1, min(CHUNK, COUNTS // images))
    for start in range(0, resamples, most):
        yield min(most, resamples - start)


def bootstrap(
    found: np.ndarray, level: float = 95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The interval of the mean of :func:`hits`, (n, 7): the outer percentiles of the means of
    ``resamples`` draws of n images with replacement (Efron's percentile method)."""
    images, generator = len(found), np.random.default_rng(seed)
    means = []
    for size in _sizes(resamples, images):
        drawn = generator.integers(0, images, (size, images))
        drawn += images * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * images).reshape(size, images)
        means.append(counts @ found / images)
    tail = (100 - level) / 2
    low, high = np.percentile(np.concatenate(means), [tail, 100 - tail], axis=0)
    return Interval(level, resamples, seed, tuple(low.tolist()), tuple(high.tolist()))


def paired(
    one: np.ndarray, other: np.ndarray, level: float = 95, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """``one`` less ``other``, both (n, 7) of :func:`hits` on the same images: the difference, its
    bootstrap interval, and how often it would be as large if each image's two results changed
    places at random (a sign-flip permutation test, two-sided; the observed one counts)."""
    gaps = one - other
    observed = np.abs(gaps.sum(axis=0))
    generator = np.random.default_rng((seed, 1))
    as_large = np.ones(FIGURES)
    moving = gaps[np.abs(gaps).max(axis=1) > 0]  # a gap of 0 is 0 with either sign
    for size in _sizes(resamples, len(gaps)):
        signs = generator.integers(0, 2, (size, len(moving)), np.int8).astype(np.float64) * 2 - 1
        # Sums of multiples of 20, for which float64 is exact.
        as_large += (np.abs(signs @ moving) >= observed - 1e-6).sum(axis=0)
    mean = tuple(gaps.mean(axis=0).tolist())
    interval = bootstrap(gaps, level, resamples, seed)
    return Difference(mean, interval, tuple((as_large / (resamples + 1)).tolist()))


def verdict(difference: Difference) -> str:
    """What the difference of rSum means, in a sentence."""
    p, level = difference.p[-1], difference.interval.level
    alpha = 1 - level / 100
    low, high = difference.interval.low[-1], difference.interval.high[-1]
    told = f"{difference.mean[-1]:+.1f} rSum, {level:g}% interval {low:+.1f} to {high:+.1f}, "
    told += f"p = {p:.2g}" if p >= 1e-3 else f"p < {10 ** math.ceil(math.log10(p)):g}"
    if p < alpha:
        return f"{told}: more than the choice of queries explains"
    return f"{told}: the choice of queries alone may explain it"
