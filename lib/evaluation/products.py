"""Scores of vectors, computed in blocks when they are asked for; NumPy alone.

A matrix of n images and 5n captions takes 20 n^2 bytes. Recalls and ranks need it block by block:
with these, memory is that of a block, whatever n is."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

# Images and captions of a block: 21 MB, of which a diagonal block holds all own pairs.
BLOCK = (1020, 5100)
# (r, D) and (c, D) of any float type -> (r, c) float32.
Score = Callable[[np.ndarray, np.ndarray], np.ndarray]


def dot(images: np.ndarray, captions: np.ndarray) -> np.ndarray:
    """The score of every model with vectors: (r, D) and (c, D) of any float type -> (r, c) float32,
    products in float32."""
    one, other = (side.astype(np.float32, copy=False) for side in (images, captions))
    return one @ other.T


class Products:
    """``found[rows, columns]`` of an (n, m) matrix of scores that is never held: float32."""

    dtype = np.dtype(np.float32)
    block = BLOCK  # what :func:`lib.evaluation.metrics.gallery_ranks` asks for at once

    def __init__(
        self, images: Any, captions: Any, score: Score = dot, absent: np.ndarray | None = None
    ):
        """Of ``images`` (n, D) and ``captions`` (m, D): arrays, or anything with a length whose
        slices are arrays, such as rows of files. ``absent`` is (m,) bool: captions that there are
        not, which score -inf."""
        self.images, self.captions, self.score, self.absent = images, captions, score, absent
        self.shape = (len(images), len(captions))
        self._last: tuple[Any, np.ndarray] | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice | tuple[slice, slice]) -> np.ndarray:
        """Rows, or rows and columns, by slices of step 1: (r, c) float32."""
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        place = (*rows.indices(self.shape[0])[:2], *columns.indices(self.shape[1])[:2])
        if self._last is not None and self._last[0] == place:  # a small matrix is one block
            return self._last[1]
        some, others = slice(*place[:2]), slice(*place[2:])
        found = self.score(np.asarray(self.images[some]), np.asarray(self.captions[others]))
        if self.absent is not None:
            found[:, self.absent[others]] = -np.inf
        self._last = (place, found) if found.size <= BLOCK[0] * BLOCK[1] else None
        return found


class MeanScores:
    """The weighted mean of matrices of scores of one shape, block by block."""

    dtype = np.dtype(np.float32)
    block = BLOCK

    def __init__(self, members: Sequence[Any], weights: Sequence[float]):
        """Of arrays, :class:`Products`, or what is read from files."""
        self.members, self.weights = members, [np.float32(weight) for weight in weights]
        self.shape = members[0].shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice | tuple[slice, slice]) -> np.ndarray:
        """Rows, or rows and columns, by slices of step 1: (r, c) float32."""
        weighted = (w * member[key] for w, member in zip(self.weights, self.members, strict=True))
        total = np.zeros((), np.float32)
        for part in weighted:
            total = total + part
        return total


def matrix_of(scores: Any) -> np.ndarray:
    """All scores as one array, (n, m) float32: 4 n m bytes."""
    if isinstance(scores, np.ndarray):
        return scores
    found = np.empty(scores.shape, np.float32)
    for top in range(0, scores.shape[0], BLOCK[0]):
        rows = slice(top, top + BLOCK[0])
        for left in range(0, scores.shape[1], BLOCK[1]):
            columns = slice(left, left + BLOCK[1])
            found[rows, columns] = scores[rows, columns]
    return found
