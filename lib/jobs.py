"""Programs side by side, each on its threads, as ablations and the demo run them."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import FrameType

from lib.errors import InputError, one_line

# glibc gives large blocks back to the kernel as they are freed, and every step asks for them again.
ALLOCATION = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "8000000000"}


class Jobs:
    """Commands, some at a time, each with its log; one that fails ends the others."""

    def __init__(self, at_a_time: int, folder: Path, threads: int = 1):
        """Run ``at_a_time`` of them at once, in ``folder``, each on so many ``threads``."""
        self.at_a_time, self.folder = at_a_time, folder
        self.environment = os.environ | ALLOCATION | {"OMP_NUM_THREADS": str(threads)}
        self.running: set[subprocess.Popen[bytes]] = set()
        self.lock, self.stopped = Lock(), 0

    def run(self, jobs: Sequence[Callable[["Jobs"], None]]) -> None:
        """All jobs, in their order. Raises InputError: one of them failed."""
        with ThreadPoolExecutor(self.at_a_time) as pool:
            results = [pool.submit(job, self) for job in jobs]
        for result in results:
            result.result()

    def command(self, log: Path, words: Sequence[str], title: str | None = None) -> None:
        """One Python program with its arguments, unless they were stopped; ``log`` gets what it
        prints, and so does standard output, line by line behind its ``title``, if it has one.
        Raises InputError: it failed."""
        with self.lock:
            if self.stopped:
                return
            with log.open("ab") as file:
                process = subprocess.Popen(
                    [sys.executable, *words], cwd=self.folder, env=self.environment,
                    stdout=file if title is None else subprocess.PIPE, stderr=subprocess.STDOUT,
                )  # fmt: skip
                self.running.add(process)
        if process.stdout is not None:
            with process.stdout, log.open("ab") as file:
                for line in process.stdout:
                    file.write(line)
                    file.flush()
                    print(f"{title}: {line.decode(errors='replace').rstrip()}", flush=True)
        status = process.wait()
        with self.lock:
            self.running.discard(process)
        if status and not self.stopped:
            self.stop(signal.SIGTERM)
            raise InputError(f"{log}: a run failed: {_last_line(log)}")

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """A block in which SIGINT and SIGTERM end all that run."""
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {signum: signal.signal(signum, self.stop) for signum in signals}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def stop(self, signum: int, _: FrameType | None = None) -> None:
        """End all that run; a training saves first."""
        with self.lock:
            self.stopped = self.stopped or signum
            for process in self.running:
                process.terminate()


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return one_line(next((line for line in reversed(lines) if line.strip()), "it printed nothing"))
