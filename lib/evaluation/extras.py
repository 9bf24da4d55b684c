"""What is told beside the protocols' figures: intervals, benchmarks, perturbations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lib.data.captions import CAPTIONS_PER_IMAGE
from lib.errors import InputError
from lib.evaluation.benchmarks import Benchmarks, open_benchmarks
from lib.evaluation.perturbations import TITLES
from lib.evaluation.protocols import (
    ProtocolRanks,
    ProtocolResult,
    captions_of,
    parts_of,
    protocol_ranks,
)


@dataclass(frozen=True)
class Extras:
    """What was asked for; nothing by default."""

    level: float | None = None  # of the intervals, percent
    benchmarks: Sequence[str] = ()  # of lib.evaluation.benchmarks.NAMES
    caption_ids: Path | None = None
    files: Path | None = None  # CxC's and PMRP's own
    perturb: Sequence[str] = ()  # of lib.evaluation.perturbations.TITLES

    def open_benchmarks(
        self, dataset: str, split: str, image_ids: Sequence[str] | None, beside: Path | None = None
    ) -> Benchmarks | None:
        """The benchmarks in front of a split; ``beside`` holds the captions' ids, where there is
        such a file; None: none were asked for. Raises InputError: see
        :func:`lib.evaluation.benchmarks.open_benchmarks`."""
        if not self.benchmarks:
            return None
        about = (dataset, split, image_ids, self.caption_ids or beside, self.files)
        return open_benchmarks(self.benchmarks, *about)

    def evaluate(
        self,
        scores: Any,
        dataset: str,
        split: str,
        benchmarks: Benchmarks | None = None,
        vectors: tuple | None = None,
        perturbed: dict[str, np.ndarray] | None = None,
    ) -> list[ProtocolResult]:
        """All that was asked for: the protocols, the benchmarks of scores and ``vectors``, and the
        protocols on ``perturbed`` scores, name -> (n, 5n)."""
        ranks = protocol_ranks(scores, dataset, split)
        found = [one.result(self.level) for one in ranks]
        if benchmarks is not None:
            found += benchmarks.evaluate(scores, vectors)
        for name, others in (perturbed or {}).items():
            if name == "words":
                changed = with_twins(ranks, scores, others, dataset)
            else:
                changed = protocol_ranks(others, dataset, split)
            for one in changed:
                result = replace(one, name=f"{one.name}; {TITLES[name]}").result(self.level)
                found.append(replace(result, benchmark=name))
        return found


def with_twins(
    ranks: list[ProtocolRanks], scores: np.ndarray, twins: np.ndarray, dataset: str
) -> list[ProtocolRanks]:
    """The same protocols with every caption's twin among the wrong answers of image to text: each
    image's rank grows by the twins that score at least its best caption's. ``twins`` is (n, 5n), a
    column per caption, -inf for a twin that there is not."""
    images = len(scores)
    own = np.arange(images)[:, None], np.arange(images * CAPTIONS_PER_IMAGE).reshape(images, -1)
    best = scores[own].max(axis=1)
    found = []
    for one in ranks:
        parts = parts_of(dataset, images) if one.is_mean else [slice(0, images)]
        folds = []
        for part, (i2t, t2i) in zip(parts, one.folds, strict=True):
            block = twins[part, captions_of(part)]
            if np.isnan(block).any():
                raise InputError("the score matrix holds NaN; the model or its inputs are broken")
            folds.append((i2t + (block >= best[part, None]).sum(axis=1), t2i))
        found.append(replace(one, folds=folds))
    return found
