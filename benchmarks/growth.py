"""How encoding, memory and ranking grow with the pictures of a split.

python benchmarks/growth.py [--images 1000 5000 20000]

Region-level 3SHNet with random weights and a BERT of one layer (the others take as much each, per
caption); 36 regions, float32. Each size runs in a process of its own. Scores of n pictures and
their captions are a matrix of 5 n^2 values: its time and memory are quadratic, and nothing else's.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch

from benchmarks.measure import machine
from benchmarks.splits import settings, write_bert, write_split
from lib.data.arrays import CAPTIONS_PER_IMAGE
from lib.data.captions import load_tokenizer, tokenise
from lib.data.features import open_split
from lib.device import encoding_batch
from lib.evaluation.encode import encode_split
from lib.evaluation.metrics import retrieval_metrics
from lib.models import build_model
from lib.models.text import load_bert


def anonymous_memory() -> float:
    """GB that this process holds itself, the mapped files aside."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure(root: Path, sender: Connection) -> None:
    """Send seconds of encoding, scoring and ranking, and the GB above the model's after each."""
    config = settings(root, root / "bert")
    split = open_split(config, "testall")
    bert = load_bert(config.model.bert, True)
    model = build_model(config.model, bert).eval()
    captions = tokenise(split.captions, load_tokenizer(config.model.bert), bert.config)
    figures, before = [], anonymous_memory()
    started = time.perf_counter()
    size = encoding_batch(torch.device("cpu"))
    embeddings = encode_split(model, split, captions, size, 0)
    figures += [time.perf_counter() - started, anonymous_memory() - before]
    started = time.perf_counter()
    scores = embeddings.scores(model)
    figures += [time.perf_counter() - started, anonymous_memory() - before]
    started = time.perf_counter()
    retrieval_metrics(scores, np.arange(scores.shape[1]) // CAPTIONS_PER_IMAGE)
    figures.append(time.perf_counter() - started)
    sender.send(figures)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 5000, 20_000])
    args = parser.parse_args()
    print(machine())
    print("| pictures | encoding | memory | scoring | memory | ranking |")
    print("|---|---|---|---|---|---|")
    for images in args.images:
        with tempfile.TemporaryDirectory() as temporary:
            root = Path(temporary)
            write_split(root, "testall", images)
            write_bert(root / "bert", layers=1)
            receiver, sender = multiprocessing.Pipe(False)
            context = multiprocessing.get_context("spawn")
            child = context.Process(target=measure, args=(root, sender))
            child.start()
            sender.close()  # so that a child that fails ends this too
            encoding, kept, scoring, whole, ranking = receiver.recv()
            child.join()
        print(
            f"| {images:,} | {encoding:.1f} s | {kept:.2f} GB | {scoring:.2f} s | {whole:.2f} GB | "
            f"{ranking:.2f} s |",
            flush=True,
        )


if __name__ == "__main__":
    main()
