"""Ranks and recalls from a score matrix and who belongs to whom; NumPy alone.

Ties count against the model: an equal score ranks above the ground truth, so a collapsed model
scores 0 and not 100. Equal scores among an image's own captions do not hurt it."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass

import numpy as np

from lib.errors import InputError

CHUNK_ROWS = 255  # images compared at once, which bounds the memory above the matrix
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


def ranks(scores: np.ndarray, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """0-based ranks of the ground truth, without sorting: (n,) int64, for each image the captions
    of others that score at least its best caption's; (m,) int64, for each caption the other images
    that score at least its own image's.

    Args:
        scores: (n, m) float; rows are images, columns captions. Anything with ``shape``, ``dtype``
            and slices of rows will do: it is read twice, in chunks.
        owner: (m,) integer, the image each caption belongs to; every image owns at least one.

    Raises InputError: NaN among the scores, which would rank above everything."""
    images, captions = scores.shape
    own = np.empty(captions, scores.dtype)
    chunks = [slice(start, start + CHUNK_ROWS) for start in range(0, images, CHUNK_ROWS)]
    for rows in chunks:
        columns = np.flatnonzero((owner >= rows.start) & (owner < rows.stop))
        own[columns] = scores[rows][owner[columns] - rows.start, columns]
    best = np.full(images, -np.inf, scores.dtype)
    np.maximum.at(best, owner, own)
    # An image's own captions that reach its best score are not counted against it.
    i2t = -np.bincount(owner, own >= best[owner], images).astype(np.int64)
    t2i = np.full(captions, -1)  # a caption's own image scores what it scores
    with ThreadPoolExecutor(THREADS) as pool:  # NumPy releases the interpreter's lock
        for rows in chunks:
            block, bests, counts = (
                np.array_split(array[rows], THREADS) for array in (scores, best, i2t)
            )
            for above in pool.map(_count, block, bests, counts, [own] * THREADS):
                t2i += above
    return i2t, t2i


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


def retrieval_metrics(scores: np.ndarray, owner: np.ndarray) -> RetrievalMetrics:
    """Both directions of a score matrix; arguments and errors as :func:`ranks`."""
    i2t, t2i = ranks(scores, owner)
    return RetrievalMetrics(direction_metrics(i2t), direction_metrics(t2i))


def mean_metrics(parts: list[RetrievalMetrics]) -> RetrievalMetrics:
    """Every figure averaged over ``parts``, as COCO's 5-fold protocol does."""

    def mean(sides: list[DirectionMetrics]) -> DirectionMetrics:
        return DirectionMetrics(*map(float, np.mean([astuple(side) for side in sides], axis=0)))

    return RetrievalMetrics(mean([part.i2t for part in parts]), mean([part.t2i for part in parts]))
