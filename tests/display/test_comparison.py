"""Runs beside each other: settings, recall by length, and queries, by plain loops."""

from types import SimpleNamespace

import numpy as np
import pytest

from lib.display.comparison import (
    Judged,
    best_and_worst,
    by_length,
    differing,
    judged,
    most_different,
)
from lib.evaluation.metrics import ranks
from tests.support import noisy_scores


def run_of(seed, captions=None):
    scores = noisy_scores(seed)
    captions = captions or ["word " * (1 + i % 7) for i in range(50)]
    gallery = SimpleNamespace(split=SimpleNamespace(captions=captions))
    return Judged(f"run {seed}", gallery, scores, *ranks(scores, np.arange(50) // 5))


def test_recall_by_length_covers_every_query_once():
    run = run_of(0)
    groups = by_length(run)
    assert [name for name, _, _ in groups] == ["1 to 2", "3 to 4", "5 to 6", "7"]
    assert sum(count for _, count, _ in groups) == 50
    for (_, count, found), lengths in zip(groups, ((1, 2), (3, 4), (5, 6), (7,)), strict=True):
        own = [r for i, r in enumerate(run.t2i) if 1 + i % 7 in lengths]
        assert count == len(own)
        assert found.r1 == pytest.approx(100 * sum(r == 0 for r in own) / len(own))
    assert [name for name, _, _ in by_length(run_of(0, ["two words"] * 50))] == ["2"]


def test_best_and_worst_queries():
    run = run_of(1)
    best, worst = best_and_worst(run, 9)
    margins = {}
    for query in range(50):
        own = run.scores[query // 5, query]
        margin = own - max(run.scores[i, query] for i in range(10) if i != query // 5)
        if margin > 0:
            margins[query // 5] = max(margins.get(query // 5, (0, 0)), (margin, query))
    expected = [query for _, query in sorted(margins.values(), reverse=True)[:9]]
    assert best == expected
    assert len(best) > 5
    assert [run.t2i[q] for q in worst] == sorted((run.t2i[q] for q in worst), reverse=True)
    assert run.t2i[worst[0]] == run.t2i.max()
    assert len({q // 5 for q in worst}) == len(worst)
    perfect = Judged("", run.gallery, run.scores, run.i2t, np.zeros(50, int))
    assert best_and_worst(perfect, 3)[1] == []


def test_what_one_finds_and_the_other_does_not():
    one, other = run_of(1), run_of(2)
    first, second = most_different(one, other, 4)
    assert all(one.t2i[q] < other.t2i[q] for q in first)
    assert all(one.t2i[q] > other.t2i[q] for q in second)
    assert most_different(one, one, 4) == ([], [])
    assert most_different(other, one, 4) == (second, first)


def test_settings_that_differ(galleries):
    runs = [judged(gallery, gallery.run.name) for gallery in galleries]
    found = dict(differing(runs))
    assert found["model.family"] == ["threeshnet", "lhsc"]
    assert found["model.vsem"] == [True, None]
    assert not found.keys() & {"run.out", "data.root", "train.epochs"}
    assert differing(runs[:1]) == differing([runs[0], runs[0]]) == []
    assert runs[0].results[0].metrics.rsum > 0
