"""The field's protocols: Flickr30K 1K, COCO 5-fold 1K and COCO 5K, from one score matrix."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lib.data.captions import CAPTIONS_PER_IMAGE
from lib.errors import InputError
from lib.evaluation.metrics import RetrievalMetrics, mean_metrics, retrieval_metrics

FOLDS = 5


@dataclass(frozen=True)
class ProtocolResult:
    """One protocol's figures; ``folds`` is empty where the protocol has none."""

    name: str
    images: int  # that each query or gallery of the protocol holds
    metrics: RetrievalMetrics
    folds: list[RetrievalMetrics] = field(default_factory=list)


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


def evaluate(scores: Any, dataset: str, split: str) -> list[ProtocolResult]:
    """All protocols of a dataset: ``coco`` gives five consecutive folds and the whole, others the
    whole alone. ``scores`` is (n, 5n) float, whose captions 5i..5i+4 belong to image i; an array,
    or a :class:`lib.evaluation.scores.SavedScores`, which is read chunk by chunk. Raises
    InputError: another shape, NaN scores, or see :func:`check_split`."""
    n = scores.shape[0]
    check_split(dataset, split, n)
    if n == 0 or scores.shape != (n, n * CAPTIONS_PER_IMAGE):
        raise InputError(f"the score matrix is {scores.shape}, expected (n, 5n) with n at least 1")
    owner = np.arange(n * CAPTIONS_PER_IMAGE) // CAPTIONS_PER_IMAGE
    whole = retrieval_metrics(scores, owner)
    if dataset != "coco":
        return [ProtocolResult(f"{split}, {n:,} images", n, whole)]
    size = n // FOLDS
    per_fold = owner[: size * CAPTIONS_PER_IMAGE]
    folds = [
        retrieval_metrics(
            scores[
                start : start + size,
                start * CAPTIONS_PER_IMAGE : (start + size) * CAPTIONS_PER_IMAGE,
            ],
            per_fold,
        )
        for start in range(0, n, size)
    ]
    return [
        ProtocolResult(f"{split}, mean of 5 folds of {size:,}", size, mean_metrics(folds), folds),
        ProtocolResult(f"{split}, all {n:,} images", n, whole),
    ]
