"""Ranks and recalls from a score matrix and who belongs to whom; NumPy alone.

Ties count against the model: an equal score ranks above the ground truth, so a collapsed model
scores 0 and not 100. Equal scores among an image's own captions do not hurt it."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from lib.errors import InputError

CHUNK_ROWS = 255  # images compared at once, which bounds the memory above the matrix
KEPT = 5  # blocks with own pairs that are not asked for twice; they hold those of 5,000 images
Ranks = tuple[np.ndarray, np.ndarray]  # 0-based: (n,) of images among captions, (m,) of captions
THREADS = min(os.cpu_count() or 1, 8)


@dataclass(frozen=True)
class DirectionMetrics:
    """One direction of retrieval: recalls in percent, ranks counted from 1."""

    r1: float
    r5: float
    r10: float
    median_rank: float
    mean_rank: float

    @property
    def average(self) -> float:
        """Mean of the three recalls, percent."""
        return (self.r1 + self.r5 + self.r10) / 3


@dataclass(frozen=True)
class RetrievalMetrics:
    """Both directions: i2t finds sentences for images, t2i images for sentences."""

    i2t: DirectionMetrics
    t2i: DirectionMetrics
    rsum: float = 0.0  # sum of the six recalls, percent; 600 is perfect; always computed

    def __post_init__(self) -> None:
        object.__setattr__(self, "rsum", 3 * (self.i2t.average + self.t2i.average))


def ranks(scores: Any, owner: np.ndarray) -> Ranks:
    """0-based ranks of the ground truth, without sorting: (n,) int64, for each image the captions
    of others that score at least its best caption's; (m,) int64, for each caption the other images
    that score at least its own image's.

    Args:
        scores: (n, m) float; rows are images, columns captions. An array, or anything with
            ``shape``, ``dtype`` and slices of rows and columns, such as scores that are computed
            when asked for (:class:`lib.evaluation.products.Products`); it is read in blocks.
        owner: (m,) integer, the image each caption belongs to; every image owns at least one.

    Raises InputError: NaN among the scores, which would rank above everything."""
    images, captions = scores.shape
    (whole,) = gallery_ranks(scores, owner, [(slice(0, images), slice(0, captions))])
    return whole


def gallery_ranks(
    scores: Any, owner: np.ndarray, galleries: Sequence[tuple[slice, slice]]
) -> list[Ranks]:
    """:func:`ranks` in each of several galleries: consecutive images, and consecutive captions that
    are those of these images. However many there are, all scores are asked for once, and blocks
    with own pairs a second time, but for the first few, which are kept; memory is that of these."""
    images, captions = scores.shape
    height, width = getattr(scores, "block", (CHUNK_ROWS, captions))
    rows, columns = _chunks(images, height), _chunks(captions, width)
    own = np.empty(captions, scores.dtype)
    kept: dict[tuple[int, int], np.ndarray] = {}
    for some in rows:
        for others in columns:
            of = owner[others]
            here = np.flatnonzero((of >= some.start) & (of < some.stop))
            if len(here):  # the same blocks as below, so that equal scores are equal bits
                block = scores[some, others]
                own[others.start + here] = block[of[here] - some.start, here]
                if len(kept) < KEPT:
                    kept[some.start, others.start] = block
    best = np.full(images, -np.inf, scores.dtype)
    np.maximum.at(best, owner, own)
    # An image's own captions that reach its best score are not counted against it.
    own_best = np.bincount(owner, own >= best[owner], images).astype(np.int64)
    # A caption's own image scores what it scores.
    found = [(-own_best[g], np.full(c.stop - c.start, -1)) for g, c in galleries]
    with ThreadPoolExecutor(THREADS) as pool:  # NumPy releases the interpreter's lock
        for some in rows:
            for others in columns:
                block = kept.pop((some.start, others.start), None)
                block = scores[some, others] if block is None else block
                for (gallery, its), (i2t, t2i) in zip(galleries, found, strict=True):
                    part, cut = _common(some, gallery), _common(others, its)
                    if part.start >= part.stop or cut.start >= cut.stop:
                        continue
                    inside = block[_from(part, some.start), _from(cut, others.start)]
                    pieces = max(THREADS, -(-len(inside) // CHUNK_ROWS))
                    split = (
                        np.array_split(array, pieces)
                        for array in (inside, best[part], i2t[_from(part, gallery.start)])
                    )
                    counts = t2i[_from(cut, its.start)]
                    for above in pool.map(_count, *split, [own[cut]] * pieces):
                        counts += above
    return found


def _chunks(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _common(one: slice, other: slice) -> slice:
    return slice(max(one.start, other.start), min(one.stop, other.stop))


def _from(part: slice, start: int) -> slice:
    return slice(part.start - start, part.stop - start)


def _count(block: np.ndarray, best: np.ndarray, i2t: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Add to ``i2t`` how many of each row reach ``best``; (m,) how many rows reach ``own``."""
    above = np.zeros(len(own), np.uint8)  # of 255 rows at most
    # One row at a time stays in the processor's cache, where whole blocks would not.
    for image, row in enumerate(block):
        if np.isnan(row.min()):
            raise InputError("the score matrix holds NaN; the model or its inputs are broken")
        i2t[image] += np.count_nonzero(row >= best[image])
        above += (row >= own).view(np.uint8)
    return above


def direction_metrics(retrieval_ranks: np.ndarray) -> DirectionMetrics:
    """Recalls, median (floor of the median 0-based rank, plus 1) and mean of 0-based ranks."""
    r1, r5, r10 = (100.0 * float(np.mean(retrieval_ranks < k)) for k in (1, 5, 10))
    median, mean = np.floor(np.median(retrieval_ranks)) + 1, retrieval_ranks.mean() + 1
    return DirectionMetrics(r1, r5, r10, float(median), float(mean))


def retrieval_metrics(scores: Any, owner: np.ndarray) -> RetrievalMetrics:
    """Both directions of a score matrix; arguments and errors as :func:`ranks`."""
    i2t, t2i = ranks(scores, owner)
    return RetrievalMetrics(direction_metrics(i2t), direction_metrics(t2i))


def mean_metrics(parts: list[RetrievalMetrics]) -> RetrievalMetrics:
    """Every figure averaged over ``parts``, as COCO's 5-fold protocol does."""

    def mean(sides: list[DirectionMetrics]) -> DirectionMetrics:
        return DirectionMetrics(*map(float, np.mean([astuple(side) for side in sides], axis=0)))

    return RetrievalMetrics(mean([part.i2t for part in parts]), mean([part.t2i for part in parts]))
