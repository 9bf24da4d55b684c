"""Lines that tell how a run goes where no progress bar can: in a file, or through a pipe."""

import logging
import time
from collections.abc import Callable

EVERY = 60.0  # seconds between lines


class Heartbeat:
    """One epoch's progress, logged once a minute."""

    def __init__(
        self,
        log: logging.Logger,
        epoch: int,
        step: int,
        steps: int,
        clock: Callable[[], float] = time.perf_counter,
    ):
        """``step`` of ``steps`` are taken already, as in a resumed epoch; ``clock`` gives
        seconds."""
        self.log, self.epoch, self.first, self.steps, self.clock = log, epoch, step, steps, clock
        self.started = self.told = clock()
        self.pairs = 0

    def beat(self, step: int, loss: float, pairs: int) -> None:
        """After a step: ``step`` of the epoch are taken now, the last one with a ``loss`` per pair
        over ``pairs`` pairs."""
        self.pairs += pairs
        now = self.clock()
        if now - self.told < EVERY:
            return
        self.told = now
        seconds = now - self.started
        left = seconds / (step - self.first) * (self.steps - step)
        self.log.info(
            f"epoch {self.epoch}: step {step:,} of {self.steps:,}, loss {loss:.4f} per pair, "
            f"{self.pairs / seconds:,.0f} pairs/s, {duration(left)} left of this epoch"
        )


def duration(seconds: float) -> str:
    """As in "45 s", "12 min" or "3 h 5 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
