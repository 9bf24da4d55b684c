"""The field's protocols: Flickr30K 1K, COCO 5-fold 1K and COCO 5K, from one score matrix."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lib.data.captions import CAPTIONS_PER_IMAGE
from lib.errors import InputError
from lib.evaluation.correspondence import PrecisionMetrics
from lib.evaluation.intervals import Interval, bootstrap, hits
from lib.evaluation.metrics import (
    Ranks,
    RetrievalMetrics,
    direction_metrics,
    gallery_ranks,
    mean_metrics,
)

FOLDS = 5


@dataclass(frozen=True)
class ProtocolResult:
    """One protocol's figures; ``folds`` is empty where the protocol has none."""

    name: str
    images: int  # that each query or gallery of the protocol holds
    metrics: RetrievalMetrics
    folds: list[RetrievalMetrics] = field(default_factory=list)
    # Other than who was captioned with whom, or other captions and pictures than the data set's:
    # no published row of a protocol belongs beside it. As in "cxc", or "words".
    benchmark: str | None = None
    precision: PrecisionMetrics | None = None  # where a query has many right answers
    interval: Interval | None = None


@dataclass(frozen=True)
class ProtocolRanks:
    """One protocol's 0-based ranks, from which all its figures follow."""

    name: str
    images: int  # of a gallery
    folds: list[Ranks]  # one where the protocol has none
    is_mean: bool = False  # whether its figures are the mean over folds

    def result(self, level: float | None = None, seed: int = 0) -> ProtocolResult:
        """Its figures, with an interval of ``level`` percent if that is given."""
        parts = [
            RetrievalMetrics(direction_metrics(i2t), direction_metrics(t2i))
            for i2t, t2i in self.folds
        ]
        found = ProtocolResult(self.name, self.images, parts[0])
        if self.is_mean:
            found = replace(found, metrics=mean_metrics(parts), folds=parts)
        interval = None if level is None else bootstrap(self.hits(), level, seed=seed)
        return replace(found, interval=interval)

    def hits(self) -> np.ndarray:
        """(n, 7) of all folds, as :func:`lib.evaluation.intervals.hits` has it."""
        return np.concatenate([hits(*fold) for fold in self.folds])


def default_split(dataset: str) -> str:
    """The split that published figures of a dataset are of: ``testall`` of ``coco``, else
    ``test``."""
    return "testall" if dataset == "coco" else "test"


def check_split(dataset: str, split: str, images: int | None = None) -> None:
    """Refuse what no published number can be compared with. Raises InputError: COCO's ``test``,
    which is one fold of the five that make COCO-1K (the field's well-known trap), or COCO images,
    where their number is known, that do not make five equal folds."""
    if dataset == "coco" and split == "test":
        raise InputError(
            "coco's test split is the first of testall's five folds; scoring it alone and calling "
            "it COCO-1K is not comparable to any published number. Use --split testall"
        )
    if dataset == "coco" and images is not None and images % FOLDS:
        raise InputError(
            f"coco's {split} holds {images} images, which do not make five equal folds; "
            "testall has 5,000"
        )


def parts_of(dataset: str, images: int) -> list[slice]:
    """The images of each fold of COCO's 5-fold protocol; no fold of another dataset's."""
    size = images // FOLDS
    return [slice(i * size, (i + 1) * size) for i in range(FOLDS)] if dataset == "coco" else []


def captions_of(part: slice) -> slice:
    """The captions of consecutive images."""
    return slice(CAPTIONS_PER_IMAGE * part.start, CAPTIONS_PER_IMAGE * part.stop)


def protocol_ranks(scores: Any, dataset: str, split: str) -> list[ProtocolRanks]:
    """The ranks of all protocols of a dataset; arguments and errors as :func:`evaluate`."""
    n = scores.shape[0]
    check_split(dataset, split, n)
    if n == 0 or scores.shape != (n, n * CAPTIONS_PER_IMAGE):
        raise InputError(f"the score matrix is {scores.shape}, expected (n, 5n) with n at least 1")
    owner = np.arange(n * CAPTIONS_PER_IMAGE) // CAPTIONS_PER_IMAGE
    parts = parts_of(dataset, n)
    galleries = [(part, captions_of(part)) for part in (slice(0, n), *parts)]
    whole, *folds = gallery_ranks(scores, owner, galleries)
    if not parts:
        return [ProtocolRanks(f"{split}, {n:,} images", n, [whole])]
    size = n // FOLDS
    return [
        ProtocolRanks(f"{split}, mean of 5 folds of {size:,}", size, folds, is_mean=True),
        ProtocolRanks(f"{split}, all {n:,} images", n, [whole]),
    ]


def evaluate(
    scores: Any, dataset: str, split: str, level: float | None = None
) -> list[ProtocolResult]:
    """All protocols of a dataset: ``coco`` gives five consecutive folds and the whole, others the
    whole alone. ``scores`` is (n, 5n) float, whose captions 5i..5i+4 belong to image i; an array,
    or what is read or computed block by block, as :func:`lib.evaluation.metrics.ranks` takes it.
    ``level`` asks for bootstrap intervals, as in 95. Raises InputError: another shape, NaN scores,
    or see :func:`check_split`."""
    return [found.result(level) for found in protocol_ranks(scores, dataset, split)]
