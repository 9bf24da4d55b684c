"""Runs judged on one split: where they differ in settings, in figures, and on single queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lib.data.captions import CAPTIONS_PER_IMAGE
from lib.display.gallery import Gallery
from lib.evaluation.metrics import DirectionMetrics, direction_metrics, ranks
from lib.evaluation.protocols import ProtocolResult, evaluate

GROUPS = 4  # of queries, by length
# Settings that say where things are, and not what was trained.
PLACES = ("data.root", "data.workers", "run.out", "run.device", "features.folder")


@dataclass(frozen=True)
class Judged:
    """A run's scores on the split."""

    name: str
    gallery: Gallery
    scores: np.ndarray  # (n, 5n) float32
    i2t: np.ndarray  # (n,) ranks from 0
    t2i: np.ndarray  # (5n,)

    @property
    def results(self) -> list[ProtocolResult]:
        """By every protocol of the data set."""
        target = self.gallery.target
        return evaluate(self.scores, target.dataset, target.split)


def judged(gallery: Gallery, name: str) -> Judged:
    """Score all pairs of a gallery's split."""
    scores = gallery.scores()
    owner = np.arange(scores.shape[1]) // CAPTIONS_PER_IMAGE
    return Judged(name, gallery, scores, *ranks(scores, owner))


def differing(runs: Sequence[Judged]) -> list[tuple[str, list[Any]]]:
    """Settings in which the runs differ, places aside, and each run's value; None: it has no such
    setting."""
    settings = [run.gallery.opened.checkpoint.config.flat() for run in runs]
    names = dict.fromkeys(name for one in settings for name in one)
    table = [(name, [one.get(name) for one in settings]) for name in names if name not in PLACES]
    return [(name, values) for name, values in table if any(v != values[0] for v in values)]


def by_length(run: Judged) -> list[tuple[str, int, DirectionMetrics]]:
    """Text to image by the number of a query's words: which, how many queries, and figures."""
    words = np.array([len(caption.split()) for caption in run.gallery.split.captions])
    cuts = np.unique(np.quantile(words, np.linspace(0, 1, GROUPS + 1)[1:], method="higher"))
    found, low = [], int(words.min())
    for cut in cuts.astype(int):
        chosen = (words >= low) & (words <= cut)
        if chosen.any():
            name = f"{low} to {cut}" if low < cut else str(cut)
            found.append((name, int(chosen.sum()), direction_metrics(run.t2i[chosen])))
            low = cut + 1
    return found


def best_and_worst(run: Judged, count: int) -> tuple[list[int], list[int]]:
    """Numbers of queries whose own picture comes first by the largest margin, and of those where it
    comes last; one query of a picture at most."""
    owner = np.arange(run.scores.shape[1]) // CAPTIONS_PER_IMAGE
    own = run.scores[owner, np.arange(len(owner))]
    others = run.scores.copy()
    others[owner, np.arange(len(owner))] = -np.inf
    margin = own - others.max(axis=0)
    best = [int(i) for i in np.argsort(-margin, kind="stable") if run.t2i[i] == 0]
    worst = [int(i) for i in np.argsort(-run.t2i, kind="stable") if run.t2i[i] > 0]
    return _one_each(best, count), _one_each(worst, count)


def most_different(one: Judged, other: Judged, count: int) -> tuple[list[int], list[int]]:
    """Numbers of queries that the first run finds best in comparison, and that the second does, by
    the ratio of their ranks."""
    gain = np.log1p(other.t2i) - np.log1p(one.t2i)
    first = [int(i) for i in np.argsort(-gain, kind="stable") if gain[i] > 0]
    second = [int(i) for i in np.argsort(gain, kind="stable") if gain[i] < 0]
    return _one_each(first, count), _one_each(second, count)


def _one_each(queries: list[int], count: int) -> list[int]:
    chosen: dict[int, int] = {}
    for query in queries:
        if len(chosen) == count:
            break
        chosen.setdefault(query // CAPTIONS_PER_IMAGE, query)
    return list(chosen.values())
