"""A run's curves in TensorBoard."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from lib.distributed import rank
from lib.errors import first_line


class Curves:
    """Scalars by update; rank 0 writes them. A disk that is full, or a folder that is gone, ends
    the curves with a warning, and not the run."""

    def __init__(self, folder: Path, updates: int | None, log: logging.Logger):
        """Write to ``folder``; what a killed run wrote there after ``updates`` is dropped."""
        self._log, self._folder = log, folder
        self._excepthook, threading.excepthook = threading.excepthook, self._unless_ours
        self._writer: SummaryWriter | None = None
        with self._warning_once():
            purge = None if updates is None else updates + 1
            self._writer = SummaryWriter(folder, purge_step=purge) if rank() == 0 else None

    def add(self, values: dict[str, float], update: int) -> None:
        """One point of each named curve."""
        with self._warning_once():
            if self._writer is not None:
                for name, value in values.items():
                    self._writer.add_scalar(name, value, update)
                self._writer.flush()  # lets readers see them

    def close(self) -> None:
        """Write the rest."""
        with self._warning_once():
            if self._writer is not None:
                self._writer.close()
        threading.excepthook = self._excepthook

    def _unless_ours(self, error: threading.ExceptHookArgs) -> None:
        """No traceback of TensorBoard's thread, whose error the next point brings."""
        if type(error.thread).__module__.split(".")[0] != "tensorboard":
            self._excepthook(error)

    @contextmanager
    def _warning_once(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # TensorBoard writes in a thread, whose errors come later
            self._writer = None
            self._log.warning(
                f"{self._folder}: curves cannot be written ({first_line(error)}); training goes on "
                "without them"
            )
