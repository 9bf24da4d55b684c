"""SIGINT and SIGTERM as a request to stop, which the loop answers between two updates."""

import os
import signal
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TypeVar

from lib.distributed import all_reduce_max, world_size

Batch = TypeVar("Batch")


class Stopped(Exception):
    """A run ended early on a signal, after saving."""

    def __init__(self, signum: int, message: str = ""):
        super().__init__(message)
        self.signum = signum


class StopSignal:
    """Remembers the first SIGINT or SIGTERM; the same once more interrupts at once, but for the
    SIGTERM of processes that torchrun has started: it passes on what a cluster's manager has sent
    to all of them already. All ranks stop together, when any of them has got a signal."""

    def __init__(self) -> None:
        self.requested: int | None = None
        self._process = os.getpid()

    def __enter__(self) -> "StopSignal":
        signals = (signal.SIGINT, signal.SIGTERM)
        self._previous = {s: signal.signal(s, self._handle) for s in signals}
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def guard(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches, until a signal raises :class:`Stopped` between two of them."""
        iterator = iter(batches)
        while True:
            batch = None
            try:
                batch = next(iterator, None)
            except RuntimeError:  # the signal may have ended the loader's workers
                if not self.requested:
                    raise
            # Once per batch and at the end, on every rank: it is a collective.
            self.stop_if_requested()
            if batch is None:
                return
            yield batch

    def stop_if_requested(self) -> None:
        """Raise :class:`Stopped` on every rank if any has got a signal; a collective."""
        if found := all_reduce_max(self.requested or 0):
            self.requested = found
            raise Stopped(found)

    def between(self, things: Iterable[Batch]) -> Iterator[Batch]:
        """The same things, of work that changes no training state: a signal raises
        :class:`Stopped` between two of them. With several ranks none may leave alone: they finish
        the work."""
        try:
            for thing in things:
                self._stop_alone()
                yield thing
        except RuntimeError:  # as above; with several ranks the lost batch is an error
            self._stop_alone()
            raise
        self._stop_alone()

    def _stop_alone(self) -> None:
        if self.requested and world_size() == 1:
            raise Stopped(self.requested)

    def _handle(self, signum: int, _: FrameType | None) -> None:
        if os.getpid() != self._process:  # a loading worker that has just been forked
            return
        passed_on = signum == signal.SIGTERM and "TORCHELASTIC_RUN_ID" in os.environ
        if self.requested == signum and not passed_on:
            raise KeyboardInterrupt
        self.requested = signum
