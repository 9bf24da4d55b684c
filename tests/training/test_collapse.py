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
    """On a rate that ruins the model at once; the watch is made impatient."""
    monkeypatch.setattr("lib.training.collapse.POINTS", 2)
    monkeypatch.setattr("lib.training.loop.SCALARS_EVERY", 1)
    run = fit(config("train.lr=0", "model.bert_lr_scale=0", "train.sum_epochs=0", "train.epochs=1",
                     "features.drop=0"))  # fmt: skip
    log = run.run_dir.log.read_text()
    assert ", gap " in log
    assert log.count("the training looks collapsed") <= 1
