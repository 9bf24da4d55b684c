"""What a training step and the encoders take beside their bare matrix products, and what else.

python benchmarks/products.py                              # the demo's two models, batch 64
python benchmarks/products.py --paper --batch_size 16      # BERT-base and the paper's sizes

A step is timed as it is, then profiled once for the shapes of its products; each product is then
timed alone, on values of no matter. The rest is everything that is not a product: sorting, dropout,
normalisation, the recurrent network of GPO, the optimizer, Python. Prints Markdown, and the dearest
operations of the rest; on the CPU, with as many threads as PyTorch takes."""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.measure import from_one, machine, seconds
from benchmarks.splits import settings, write_bert, write_split
from lib.arguments import new_parser
from lib.config import Config, load_config
from lib.data.dataset import TrainingPairs, training_loader
from lib.demo.scenes.files import write_world
from lib.demo.scenes.world import World
from lib.demo.small_bert import write_small_bert
from lib.errors import exit_on_error
from lib.training.loop import Run

ROOT = Path(__file__).parents[1]
PRODUCTS = {
    "aten::mm": torch.mm,
    "aten::bmm": torch.bmm,
    "aten::addmm": torch.addmm,
    "aten::baddbmm": torch.baddbmm,
}
# Products and more in one kernel: counted among the products as they are.
FUSED = ("aten::_scaled_dot_product_flash_attention_for_cpu",)
SHOWN = 8  # of the dearest other operations


def bare(events: list[Any], repeats: int) -> float:
    """Seconds of the products of a profile, each timed alone."""
    total = 0.0
    for event in events:
        if event.key.startswith(FUSED):
            total += event.self_cpu_time_total / 1e6
        if event.key not in PRODUCTS:
            continue
        shapes = [shape for shape in event.input_shapes if shape]
        shapes = shapes[: 2 if event.key in ("aten::mm", "aten::bmm") else 3]  # not what gets it
        tensors = [torch.randn(shape) for shape in shapes]
        work = PRODUCTS[event.key]
        work(*tensors)
        taken = [seconds(lambda t=tensors, w=work: w(*t)) for _ in range(repeats)]
        total += event.count * statistics.median(taken)
    return total


def report(name: str, work: Callable[[], object], repeats: int) -> None:
    """Print a row, and what else takes time."""
    for _ in range(2):
        work()
    taken = statistics.median(seconds(work) for _ in range(repeats))
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as found:
        work()
    products = bare(list(found.key_averages(group_by_input_shape=True)), 5)
    rest = 100 * (1 - products / taken)
    print(f"| {name} | {1e3 * taken:.0f} ms | {1e3 * products:.0f} ms | {rest:.0f}% | "
          + others(found) + " |", flush=True)  # fmt: skip


def others(found: profile) -> str:
    """The dearest operations that are no products, in ms."""
    kept = [
        event
        for event in found.key_averages()
        if event.key not in PRODUCTS and not event.key.startswith(FUSED)
    ]
    kept.sort(key=lambda event: -event.self_cpu_time_total)
    return ", ".join(
        f"{event.key.removeprefix('aten::')} {event.self_cpu_time_total / 1e3:.0f}"
        for event in kept[:SHOWN]
    )


def demo_config(root: Path, kind: str) -> Config:
    """The demo's model of a kind, on a part of its world."""
    folder = root / "scenes_precomp"
    if not folder.exists():
        sizes = {"train": 120, "dev": 10, "test": 10, "regions": 24, "img_dim": 256}
        write_world(World(**sizes, map_size=16), folder)
        write_small_bert(folder / "bert", folder / "train_caps.txt")
    words = [f"data.root={root}", f"model.bert={folder}/bert", f"run.out={root}/run-{kind}"]
    return load_config(ROOT / f"configs/scenes_{kind}.yaml", words)


def measure(args: argparse.Namespace, root: Path) -> None:
    """Print the table."""
    print(f"{machine()}\n")
    print("| what | time | its bare products | the rest | dearest of the rest, ms |")
    print("|---|---|---|---|---|")
    if args.paper:
        for name, images in (("train", 4 * args.batch_size), ("dev", 5)):
            write_split(root, name, images)
        train = {"batch_size": args.batch_size, "sum_epochs": 0}
        configs = {"paper": settings(root, write_bert(root / "bert"), **train)}
    else:
        configs = {kind: demo_config(root, kind) for kind in ("region", "grid")}
    for kind, config in configs.items():
        run = Run(config, False, False)
        pairs = TrainingPairs(run.train_split, run.train_captions, config)
        loader = training_loader(pairs, 0, run._batches(0)[:1], 0, pin=False)
        images, texts = next(iter(loader))
        run.model.train()
        size = len(texts)
        report(
            f"{kind}: step of {size}", lambda r=run, b=(images, texts): r._step(*b), args.repeats
        )
        run.model.eval()
        with torch.inference_mode():
            for side, encode, batch in (
                ("images", run.model.encode_images, images),
                ("captions", run.model.encode_texts, texts),
            ):
                report(f"{kind}: {size} {side}", partial(encode, batch), args.repeats)


def main(words: list[str] | None = None) -> None:
    """Measure what the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    parser.add_argument("--paper", action="store_true", help="BERT-base and the paper's sizes")
    parser.add_argument(
        "--batch_size", type=from_one, default=16, help="pairs in a batch, with --paper"
    )
    parser.add_argument(
        "--repeats", type=from_one, default=9, help="measurements; their median counts"
    )
    args = parser.parse_args(words)
    with exit_on_error(), tempfile.TemporaryDirectory() as temporary:
        measure(args, Path(temporary))


if __name__ == "__main__":
    main()
