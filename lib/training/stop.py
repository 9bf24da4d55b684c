"""Ctrl-C and SIGTERM as a request that the loop answers where its state is whole."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from lib.processes import count, largest

Batch = TypeVar("Batch")


class Stopped(Exception):
    """A run ended early on a signal, after saving."""

    def __init__(self, signum: int, message: str = ""):
        super().__init__(message)
        self.signum = signum


class StopSignal:
    """Remembers the first SIGINT or SIGTERM; the same once more interrupts at once.

    Processes that share a run stop together, when any of them has got a signal.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._interruptible = False

    def __enter__(self) -> "StopSignal":
        self._previous = {
            s: signal.signal(s, self._handle) for s in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def guard(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches, until a signal raises :class:`Stopped` between two of them."""
        iterator = iter(batches)
        while not self._requested_anywhere():
            try:
                batch = next(iterator)
            except StopIteration:
                return
            except RuntimeError:  # the signal may have ended the loader's workers
                if self._requested_anywhere():
                    break
                raise
            yield batch
        raise Stopped(self.requested)

    def _requested_anywhere(self) -> bool:
        self.requested = largest(self.requested or 0) or None
        return self.requested is not None

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A block that changes no training state: a signal raises :class:`Stopped` inside it.

        Of several processes none may leave alone: they finish the block.
        """
        if self._requested_anywhere():
            raise Stopped(self.requested)
        self._interruptible = count() == 1
        try:
            yield
        finally:
            self._interruptible = False

    def _handle(self, signum: int, _: FrameType | None) -> None:
        if self.requested == signum:
            raise KeyboardInterrupt
        self.requested = signum
        if self._interruptible:
            raise Stopped(signum)
