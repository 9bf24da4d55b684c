"""Training steps of 3SHNet at the paper's sizes: time, pictures/s, memory and what waits for data.

python -m benchmarks.gpu.steps [--device cuda]

Batches of 128 and 256, in fp32, tf32 and bf16; plain, with torch.compile, and with torch.compile's
CUDA graphs (mode "reduce-overhead"); the literal computation (benchmarks/literal.py) in fp32 beside
them. Each row is of one run, on one batch that is on the device already; then a row of how long a
step of real batches waits for the loader. Memory is the most that tensors took on the GPU."""

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch.optim import AdamW

from benchmarks.measure import from_one, seconds
from benchmarks.splits import settings, write_bert, write_split
from benchmarks.step import literal_step, waiting
from lib.arguments import new_parser
from lib.config import PRECISIONS
from lib.data.dataset import TrainingPairs, training_loader
from lib.device import resolve_device
from lib.errors import exit_on_error, first_line
from lib.training.loop import Run
from lib.training.optim import parameter_groups

WARM = 3  # steps before those that count: compiling, and the allocator's first
MODES = ("plain", "compile", "CUDA graphs")


def build(root: Path, batch_size: int, precision: str, mode: str, device: str) -> Run:
    """A run whose encoders are compiled as ``mode`` says."""
    train = {"batch_size": batch_size, "precision": precision, "sum_epochs": 0, "lr": 1e-6}
    gc.collect()  # the row before, with its compiled code and its graphs
    torch._dynamo.reset()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    run = Run(settings(root, root / "bert", **train), False, True)
    run.device = torch.device(device)
    run.model.to(device).train()
    if mode != MODES[0]:
        # On a CPU there are no CUDA graphs, and compiling takes minutes: only the way is tried.
        how = {"backend": "aot_eager"} if device == "cpu" else {}
        if mode == MODES[2] and device != "cpu":
            how = {"mode": "reduce-overhead"}
        for encoder in (run.model.image_encoder, run.model.text_encoder):
            encoder.compile(**how)
    return run


def measured(step: Callable[[], object], steps: int, device: str) -> tuple[float, str]:
    """The median seconds of a step, and the most memory in GB, warming up included: what a CUDA
    graph takes, it takes when it is made."""
    for _ in range(WARM):
        step()
    taken = statistics.median(seconds(step) for _ in range(steps))
    if device == "cpu":
        return taken, "-"
    return taken, f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB"


def row(name: str, batch_size: int, work: Callable[[], tuple[float, str]]) -> float | None:
    """Print a row, or why there is none; the seconds of a step."""
    try:
        taken, memory = work()
    except (RuntimeError, torch._dynamo.exc.TorchDynamoException) as error:
        print(f"| {name} | failed: {first_line(error)[:100]} | | |", flush=True)
        return None
    rate = batch_size / taken
    print(f"| {name} | {1e3 * taken:.0f} ms | {rate:,.0f} | {memory} |", flush=True)
    return taken


def batch_of(run: Run) -> tuple:
    """The first batch of the first epoch, on the device."""
    pairs = TrainingPairs(run.train_split, run.train_captions, run.config)
    batch = next(iter(training_loader(pairs, 0, run._batches(0)[:1], 0, pin=False)))
    return tuple(part.to(run.device) for part in batch)


def measure(args: argparse.Namespace, root: Path) -> None:
    """Print the table."""
    print("| step | time | pictures/s | memory |\n|---|---|---|---|")

    def ours(size: int, precision: str, mode: str) -> tuple[float, str]:
        run = build(root, size, precision, mode, args.device)
        batch = batch_of(run)
        return measured(lambda: run._step(*batch), args.steps, args.device)

    def literally(size: int) -> tuple[float, str]:
        run = build(root, size, "fp32", MODES[0], args.device)
        groups = parameter_groups(run.model, run.config.train)
        plain, batch = AdamW(groups, weight_decay=0.0), batch_of(run)
        return measured(lambda: literal_step(run, plain, *batch), min(3, args.steps), args.device)

    # Compiling takes longest, and comes last.
    for mode in MODES:
        for size in args.batch_sizes:
            for precision in args.precisions:
                name = f"batch {size}, {precision}, {mode}"
                row(name, size, partial(ours, size, precision, mode))
            if mode == MODES[0]:
                row(f"batch {size}, fp32, literal", size, partial(literally, size))
        if mode == MODES[0]:
            load(args, root)


def load(args: argparse.Namespace, root: Path) -> None:
    """Print a row of what waits for data."""
    run = build(root, args.batch_sizes[-1], args.precisions[-1], MODES[0], args.device)
    started = time.perf_counter()
    share = waiting(run, min(20, len(run._batches(0))))
    name = f"batch {args.batch_sizes[-1]}, {args.precisions[-1]}, {run.workers} loading processes"
    seconds_ = time.perf_counter() - started
    print(f"| {name} | {100 * share:.1f}% waits for data ({seconds_:.0f} s) | | |", flush=True)


def main(words: list[str] | None = None) -> None:
    """Measure what the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda", help="where to compute"
    )
    parser.add_argument(
        "--batch_sizes", type=from_one, nargs="+", default=[128, 256], help="pairs in a batch"
    )
    parser.add_argument(
        "--precisions",
        nargs="+",
        choices=PRECISIONS,
        default=list(PRECISIONS),
        help="which of them to measure",
    )
    parser.add_argument("--steps", type=from_one, default=10, help="steps that count, per row")
    parser.add_argument("--images", type=from_one, default=1500, help="pictures of the split")
    parser.add_argument("--tiny", action="store_true", help="sizes that only show that it runs")
    args = parser.parse_args(words)
    if args.tiny:
        args.batch_sizes, args.precisions, args.steps, args.images = [4], ["bf16"], 1, 4
    with exit_on_error(), tempfile.TemporaryDirectory() as temporary:
        resolve_device(args.device)
        root = Path(temporary)
        for name, images in (("train", args.images), ("dev", 2)):
            write_split(root, name, images)
        write_bert(root / "bert", layers=1 if args.tiny else 12)
        measure(args, root)


if __name__ == "__main__":
    sys.exit(main())
