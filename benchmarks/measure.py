"""What the benchmarks share: two ways of one thing timed in turns, and a Markdown row of it."""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import transformers


@dataclass(frozen=True)
class Comparison:
    """Seconds of two ways, measured in turns."""

    ours: list[float]
    literal: list[float]

    @property
    def ratio(self) -> float:
        """How many times faster ours is, by the medians."""
        return statistics.median(self.literal) / statistics.median(self.ours)

    def row(self, name: str, wanted: str, count: int, unit: str) -> str:
        """A row of RESULTS.md: rates of ``count`` things per run, and the ratio."""
        cells = [
            f"{median_rate([count / t for t in times])} {unit}/s"
            for times in (self.ours, self.literal)
        ]
        return f"| {name} | {cells[0]} | {cells[1]} | {self.ratio:.2f} x | {wanted} |"


def from_one(text: str) -> int:
    """A number of things, for argparse."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} should be a number from 1")
    return number


def median_rate(rates: list[float]) -> str:
    """The median, and least to most."""
    rates = sorted(rates)
    return f"{statistics.median(rates):.3g} ({rates[0]:.3g} to {rates[-1]:.3g})"


def seconds(work: Callable[[], object]) -> float:
    """How long ``work`` takes, on the GPU to its end."""
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def compare(ours: Callable[[], object], literal: Callable[[], object], repeats: int) -> Comparison:
    """Time both in turns, after one run of each to warm up."""
    ours()
    literal()
    times = [(seconds(ours), seconds(literal)) for _ in range(repeats)]
    return Comparison([a for a, _ in times], [b for _, b in times])


def machine() -> str:
    """Processor, threads and versions, as RESULTS.md names them."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    return (
        f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads; Python "
        f"{platform.python_version()}, torch {torch.__version__}, transformers "
        f"{transformers.__version__}"
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            return next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
