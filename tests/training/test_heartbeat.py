"""A line a minute where there is no terminal."""

import logging
import re

import pytest

from lib.training.heartbeat import Heartbeat, duration
from tests.support import fit


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_line_a_minute(caplog):
    clock = Clock()
    with caplog.at_level(logging.INFO):
        heartbeat = Heartbeat(logging.getLogger("test"), 3, 40, 100, clock)
        for step in range(41, 47):  # 25 s each
            clock.now += 25
            heartbeat.beat(step, 0.5 / step, 128)
    # After 75 and 150 s: a line is due 60 s after the one before. Three steps took 75 s, so the 57
    # others take 1,425 s; a resumed epoch's first 40 steps took none of it.
    assert caplog.messages == [
        "epoch 3: step 43 of 100, loss 0.0116 per pair, 5 pairs/s, 24 min left of this epoch",
        "epoch 3: step 46 of 100, loss 0.0109 per pair, 5 pairs/s, 22 min left of this epoch",
    ]


def test_a_training_without_a_terminal_tells_where_it_is(config, monkeypatch):
    monkeypatch.setattr("lib.training.heartbeat.EVERY", 0.0)
    run = fit(config("train.epochs=1"))
    log = (run.run_dir.path / "train.log").read_text()
    lines = re.findall(r"epoch 0: step (\d+) of 7, loss [0-9.]+ per pair, [0-9,]+ pairs/s", log)
    assert lines == [str(step) for step in range(1, 8)]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (91, "2 min"), (3599, "1 h 0 min"), (11100, "3 h 5 min")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
