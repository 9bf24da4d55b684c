"""What is told beside the protocols' figures: intervals, benchmarks, perturbations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lib.data.captions import CAPTIONS_PER_IMAGE
from lib.errors import InputError
from lib.evaluation.benchmarks import Benchmarks, open_benchmarks
from lib.evaluation.metrics import CHUNK_ROWS
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
        perturbed: dict[str, Any] | None = None,
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
    ranks: list[ProtocolRanks], scores: Any, twins: Any, dataset: str
) -> list[ProtocolRanks]:
    """The same protocols with every caption's twin among the wrong answers of image to text: each
    image's rank grows by the twins that score at least its best caption's. ``scores`` and ``twins``
    are (n, 5n) and read in blocks; ``twins`` has a column per caption, -inf for a twin that there
    is not."""
    images = scores.shape[0]
    height, width = getattr(scores, "block", (CHUNK_ROWS, CAPTIONS_PER_IMAGE * CHUNK_ROWS))
    rows = [slice(top, min(top + height, images)) for top in range(0, images, height)]
    best = np.concatenate([_own_best(scores[part, captions_of(part)]) for part in rows])
    parts = [parts_of(dataset, images) if one.is_mean else [slice(0, images)] for one in ranks]
    above = [[np.zeros(part.stop - part.start, np.int64) for part in some] for some in parts]
    for part in rows:
        for left in range(0, scores.shape[1], width):
            block = twins[part, left : left + width]
            if np.isnan(block).any():
                raise InputError("the score matrix holds NaN; the model or its inputs are broken")
            reaching = block >= best[part, None]
            for some, counts in zip(parts, above, strict=True):
                for fold, count in zip(some, counts, strict=True):
                    top, end = max(part.start, fold.start), min(part.stop, fold.stop)
                    captions = captions_of(fold)
                    cut = slice(max(captions.start - left, 0), max(captions.stop - left, 0))
                    inside = reaching[max(top - part.start, 0) : max(end - part.start, 0), cut]
                    if top < end:
                        count[top - fold.start : end - fold.start] += inside.sum(axis=1)
    return [
        replace(
            one,
            folds=[(i2t + more, t2i) for (i2t, t2i), more in zip(one.folds, counts, strict=True)],
        )
        for one, counts in zip(ranks, above, strict=True)
    ]


def _own_best(block: np.ndarray) -> np.ndarray:
    """(r, 5r) float32, images with their own captions -> (r,): each one's best."""
    images = np.arange(len(block))
    return block.reshape(len(block), len(block), -1)[images, images].max(axis=1)
