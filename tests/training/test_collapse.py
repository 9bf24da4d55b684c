"""The warning of a collapsed training: once, and not of a training that learns."""

import pytest

from lib.training.collapse import POINTS, CollapseWatch
from tests.support import fit


def told(losses, gaps):
    watch = CollapseWatch(0.2)
    return [text for loss, gap in zip(losses, gaps, strict=True) if (text := watch.add(loss, gap))]


def test_it_warns_once_with_what_helps():
    (text,) = told([0.41] * 100, [-0.001] * 100)
    assert "0.410, about twice the margin (0.4)" in text
    assert "train.sum_epochs" in text
    assert "train.lr" in text


@pytest.mark.parametrize(
    ("losses", "gaps"),
    [
        ([0.41] * (POINTS - 1), [0.0] * (POINTS - 1)),  # too short
        ([0.35] * 100, [0.0] * 100),  # loss below
        ([0.5] * 100, [-0.1] * 100),  # and above: negatives score higher, as at the start
        ([0.41] * 100, [i / 200 for i in range(100)]),  # the gap grows
        (([0.41] * 20 + [0.3]) * 5, [0.0] * 105),  # not in a row
    ],
)
def test_it_does_not_warn(losses, gaps):
    assert told(losses, gaps) == []


def test_training_tells_it_and_the_gap(config, monkeypatch):
    """Of steps on the hardest negatives alone; TensorBoard's points are what is watched."""
    seen = []

    def add(watch, loss, gap):
        seen.append((loss, gap))
        return "the training looks collapsed" if len(seen) == 3 else None

    monkeypatch.setattr(CollapseWatch, "add", add)
    monkeypatch.setattr("lib.training.loop.SCALARS_EVERY", 1)
    run = fit(config("train.sum_epochs=1", "train.epochs=2"))
    log = run.run_dir.log.read_text()
    assert log.count("  the training looks collapsed") == 1
    assert len(seen) == len(run._batches(1))
    gap = sum(gap for _, gap in seen[-10:]) / len(seen[-10:])
    assert f", gap {gap:.3f}, " in log.splitlines()[-2]
