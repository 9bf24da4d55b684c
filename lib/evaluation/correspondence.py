"""Figures of queries with many right answers: recalls, R-Precision and mAP@R (ECCV Caption, Sec. 4:
Musgrave et al.'s mAP@R), from a score matrix and who belongs to whom.

Ties count against the model here too: a wrong answer with an equal score stands above a right
one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lib.errors import InputError
from lib.evaluation.metrics import CHUNK_ROWS, DirectionMetrics, direction_metrics

CHUNK_COLUMNS = 1000  # queries that are columns, read at once


@dataclass(frozen=True)
class PrecisionMetrics:
    """Percent, of both directions."""

    i2t_map_at_r: float
    i2t_r_precision: float
    t2i_map_at_r: float
    t2i_r_precision: float


@dataclass(frozen=True)
class Correspondence:
    """The right answers of some queries of one direction, by their numbers."""

    queries: np.ndarray  # (q,) int64, ascending
    starts: np.ndarray  # (q + 1,) int64, where each query's answers begin
    answers: np.ndarray  # (a,) int64; -1: one that the gallery does not hold, and that counts

    def __len__(self) -> int:
        return len(self.queries)


def correspondence(answers: Mapping[int, Any]) -> Correspondence:
    """Of query -> its answers, -1 for each that the gallery does not hold; queries without any are
    left out."""
    kept = {query: sorted(found) for query, found in sorted(answers.items()) if len(found)}
    counts = [len(found) for found in kept.values()]
    flat = [answer for found in kept.values() for answer in found]
    return Correspondence(
        np.array(list(kept), np.int64),
        np.concatenate(([0], np.cumsum(counts, dtype=np.int64))),
        np.array(flat, np.int64),
    )


def retrieval_positions(
    scores: Any, matches: Correspondence, columns: bool = False, alone: bool = False
) -> np.ndarray:
    """(a,) int64: the 0-based places of each query's answers in its full ranking, ascending within
    a query.

    Args:
        scores: (n, m) float; queries are rows, or ``columns``. An array, or anything with ``shape``
            and slices of rows and columns, which is read in chunks.
        alone: a query, which must be in its own gallery, is not among what it may find.

    Raises InputError: NaN among the scores."""
    total = scores.shape[1] if columns else scores.shape[0]
    size = CHUNK_COLUMNS if columns else CHUNK_ROWS
    found = np.empty(len(matches.answers), np.int64)
    for start in range(0, total, size):
        first, last = np.searchsorted(matches.queries, [start, min(start + size, total)])
        if first == last:
            continue
        part = slice(start, min(start + size, total))
        block = np.array(scores[:, part].T if columns else scores[part, :])
        for number in range(first, last):
            query = int(matches.queries[number])
            row = block[query - start]
            if alone:
                row[query] = -np.inf
            span = slice(matches.starts[number], matches.starts[number + 1])
            answers = matches.answers[span]
            own = np.sort(row[answers[answers >= 0]])[::-1]
            ordered = np.sort(row)
            if np.isnan(ordered[-1]):  # NaN sorts last
                raise InputError("the score matrix holds NaN; the model or its inputs are broken")
            at_least = len(ordered) - np.searchsorted(ordered, own, "left")
            of_these = len(own) - np.searchsorted(own[::-1], own, "left")
            found[span] = len(ordered)  # behind all, for what is not there
            found[span.start : span.start + len(own)] = at_least - of_these + np.arange(len(own))
    return found


def recalls(places: np.ndarray, matches: Correspondence) -> DirectionMetrics:
    """Of each query's best answer; places as :func:`retrieval_positions` gives them."""
    return direction_metrics(places[matches.starts[:-1]])


def precisions(places: np.ndarray, matches: Correspondence) -> tuple[float, float]:
    """mAP@R and R-Precision, percent, R being a query's number of answers: the mean over its first
    R places of the precision there, where a right answer stands, else 0; and the share of right
    answers among them."""
    counts = np.diff(matches.starts)
    answer = np.arange(len(places)) - np.repeat(matches.starts[:-1], counts)
    within = places < np.repeat(counts, counts)
    gains = np.where(within, (answer + 1) / (places + 1), 0.0)
    starts = matches.starts[:-1]
    average = np.add.reduceat(gains, starts) / counts
    share = np.add.reduceat(within.astype(np.float64), starts) / counts
    return 100 * float(average.mean()), 100 * float(share.mean())
