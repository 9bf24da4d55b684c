"""The vectors among which sentences are looked for: files and folders of embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.errors import InputError
from lib.evaluation.embedding_shards import EmbeddingShards
from lib.evaluation.index_folder import has_index
from lib.evaluation.records import UNKNOWN, Origin
from lib.evaluation.scores import origin_in, read_embeddings
from lib.evaluation.vector_index import CANDIDATES, PROBES, VectorIndex

# Vectors compared at once: as float32 they stay in memory that the allocator gives again.
BLOCK = 8192
MANY = 1_000_000  # vectors, beyond which an index is worth building


@dataclass(frozen=True)
class How:
    """How a folder of embeddings is searched."""

    exact: bool = False  # all vectors are compared, though there is an index
    probes: int = PROBES  # lists of an index that are read
    candidates: int = CANDIDATES  # vectors that are scored exactly then


def top(scores: np.ndarray, k: int) -> np.ndarray:
    """Indices of the ``k`` largest of (n,) scores, largest first; equal ones in their order."""
    if k < len(scores):  # those that are at least the k-th, in their order
        least = np.partition(scores, -k)[-k]
        some = np.flatnonzero(scores >= least)
        return some[np.argsort(-scores[some], kind="stable")[:k]]
    return np.argsort(-scores, kind="stable")[:k]


def brute_force(images: Any, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores (q, k) float32 and numbers (q, k) int64 of the best of (n, D) ``images``, an array or
    rows of files of any float type, for (q, D) float32 queries; best first, equal ones in their
    order, fewer where there are fewer images. Memory is that of a block."""
    scores = np.empty((len(queries), 0), np.float32)
    numbers = np.empty((len(queries), 0), np.int64)
    texts = torch.from_numpy(queries)
    for start in range(0, len(images), BLOCK):
        # NumPy takes ten times as long to make float32 of float16.
        block = torch.from_numpy(np.ascontiguousarray(images[start : start + BLOCK])).float()
        found = (texts @ block.T).numpy()
        own = np.broadcast_to(np.arange(start, start + len(block)), found.shape)
        found = np.concatenate((scores, found), axis=1)
        own = np.concatenate((numbers, own), axis=1)
        best = np.stack([top(row, k) for row in found])
        scores, numbers = (np.take_along_axis(side, best, 1) for side in (found, own))
    return scores, numbers


class Vectors:
    """One file or folder of ``eval.py --save_embeddings``, ready to be searched."""

    def __init__(self, path: Path, how: How = How()):
        """Raises InputError: no such embeddings, or they or their index are damaged."""
        self.path, self.how, self.index = path, how, None
        self.images: Any
        self.ids: Any  # image ids, by number
        # What made them: shards tell the checkpoint, by key_of, a file the training.
        self.checkpoint: str | None = None
        self.origin: Origin
        if path.is_dir():
            shards = EmbeddingShards(path)
            self.checkpoint = shards.key.get("checkpoint")
            self.images, self.ids, self.origin = shards.images, shards.ids, shards.origin
            if has_index(path) and not how.exact:
                self.index = VectorIndex(shards, how.probes, how.candidates)
        else:
            self.images, _, self.ids = read_embeddings(path)
            self.origin = origin_in(path)

    @property
    def width(self) -> int:
        """Values of a vector."""
        return self.images.shape[1]

    @property
    def told(self) -> str:
        """How they are searched, in words."""
        if self.index is None:
            return f"{len(self.images):,} vectors of {self.path}, compared one by one"
        lists, index = self.index.lists.nlist, self.index
        return (
            f"{len(self.images):,} vectors of {self.path}, by their index ({index.probes} of "
            f"{lists:,} lists, the best {index.candidates:,} scored exactly)"
        )

    @property
    def advice(self) -> str | None:
        """What would make a search faster; None: nothing, or nothing else was asked for."""
        if self.index is not None or self.how.exact or len(self.images) <= MANY:
            return None
        return (
            f"{self.path}: all of its {len(self.images):,} vectors are compared; an index is "
            f"faster: python scripts/build_index.py {self.path}"
        )

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As :func:`brute_force`, or by the index, whose numbers are -1 where it found fewer."""
        if self.index is not None:
            return self.index.search(queries, k)
        return brute_force(self.images, queries, k)


def require_checkpoint(vectors: Sequence[Vectors], checkpoint: str, own: str) -> None:
    """Refuse embeddings in shards of another checkpoint than ``own``, as
    :func:`lib.evaluation.encode_shards.key_of` names it. Raises InputError."""
    for one in vectors:
        if one.checkpoint not in (None, own):
            raise InputError(
                f"{one.path}: holds embeddings of another checkpoint than {checkpoint}; name "
                "others, or remove these, and save them again with this one"
            )


def require_training(vectors: Sequence[Vectors], own: Origin, features: bool) -> None:
    """Refuse embeddings of another training than ``own``, by what both tell of model, data set and
    seed, and by the kind of ``features`` if a checkpoint tells it. Raises InputError."""
    names = ("model", "source", "seed", *(["features"] if features else []))
    for one in vectors:
        theirs = one.origin
        both = ({getattr(theirs, name), getattr(own, name)} for name in names)
        if any(len(two) == 2 and not two & {UNKNOWN, None} for two in both):
            raise InputError(
                f"{one.path}: holds embeddings of {theirs.checkpoint} ({theirs.title} of seed "
                f"{theirs.seed}, trained on {theirs.source}), not of {own.checkpoint} ({own.title} "
                f"of seed {own.seed}, trained on {own.source})"
            )


def require_width(vectors: Sequence[Vectors], width: int, checkpoint: str) -> None:
    """Refuse embeddings of another model. Raises InputError."""
    for one in vectors:
        if one.width != width:
            raise InputError(
                f"{one.path}: holds embeddings of width {one.width}, {checkpoint} makes {width}; "
                "save them again with this checkpoint"
            )
