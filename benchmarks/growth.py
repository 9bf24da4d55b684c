"""How encoding, memory and ranking grow with the pictures of a split.

python benchmarks/growth.py [--images 1000 5000 20000]
python benchmarks/growth.py --images 20000 100000 --ranking                # of random vectors
python benchmarks/growth.py --images 200000 --ranking --width 128          # sooner: shorter vectors

Region-level 3SHNet with random weights and a BERT of one layer (the others take as much each, per
caption); 36 regions, float32. Each size runs in a process of its own; peaks are of the memory above
the model's and, for ranking, above the vectors'. Scores of n pictures and their captions are 5 n^2
values: ranking them takes quadratic time, but in blocks, the memory of a block. The matrix of all
is made beside that where it has room.
"""

import multiprocessing
import resource
import sys
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch

from benchmarks.measure import from_one, machine
from benchmarks.splits import settings, write_bert, write_split
from lib.arguments import new_parser
from lib.data.captions import CAPTIONS_PER_IMAGE, tokenise
from lib.data.split import open_split
from lib.device import encoding_batch
from lib.errors import exit_on_error
from lib.evaluation.encode import Embeddings, encode_split
from lib.evaluation.protocols import protocol_ranks
from lib.models import build_model
from lib.models.common.bert import BertTokenizer
from lib.models.common.layers import unit


def anonymous_memory() -> float:
    """GB that this process holds itself, the mapped files aside."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024 / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


class Watch:
    """Seconds that a block takes, and the most memory meanwhile, in GB."""

    def __enter__(self) -> "Watch":
        self.peak, self._over = anonymous_memory(), threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._started
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self.peak = max(self.peak, anonymous_memory())


WIDTH = 1024  # values of a random vector
MATRIX = 20_000  # most pictures whose matrix is made: 8 GB


def ranked(embeddings: Embeddings, model: Any, before: float) -> list[tuple[float, float] | None]:
    """Seconds of ranking in blocks, and by way of the matrix, each with its peak."""
    with Watch() as blocks:
        found = protocol_ranks(embeddings.blocks(model), "f30k", "test")
    peaks = [(blocks.seconds, blocks.peak - before)]
    if len(embeddings.images) > MATRIX:
        return [*peaks, None]
    with Watch() as matrix:
        other = protocol_ranks(embeddings.scores(model), "f30k", "test")
    if not np.array_equal(found[0].hits(), other[0].hits()):
        sys.exit("error: ranks in blocks differ from those of the matrix")
    return [*peaks, (matrix.seconds, matrix.peak - before)]


class Vectors(torch.nn.Module):
    """A model of vectors that are there already."""

    pairwise = False

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))


def measure_ranking(images: int, width: int, sender: Connection) -> None:
    """Send nothing of encoding, and both ways of ranking random unit vectors."""
    torch.manual_seed(0)
    sides = [unit(torch.randn(n, width)) for n in (images, CAPTIONS_PER_IMAGE * images)]
    embeddings = Embeddings(*sides)
    sender.send([None, *ranked(embeddings, Vectors(), anonymous_memory())])


def measure(root: Path, sender: Connection) -> None:
    """Send seconds of encoding, and of both ways of ranking, each with its peak in GB."""
    config = settings(root, root / "bert")
    split = open_split(config, "testall")
    tokenizer = BertTokenizer(config.model.bert)
    model = build_model(config.model, tokenizer).eval()
    captions = tokenise(split.captions, tokenizer)
    before, size = anonymous_memory(), encoding_batch(torch.device("cpu"))
    with Watch() as encoding:
        embeddings = encode_split(model, split, captions, size, 0)
    encoded = encoding.seconds, encoding.peak - before
    sender.send([encoded, *ranked(embeddings, model, anonymous_memory())])


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--images",
        type=from_one,
        nargs="+",
        default=[1000, 5000, 20_000],
        help="sizes of the split to measure",
    )
    parser.add_argument(
        "--ranking", action="store_true", help="leave encoding out: rank random vectors"
    )
    parser.add_argument(
        "--width",
        type=from_one,
        help=f"values of a random vector, with --ranking; default: {WIDTH}",
    )
    args = parser.parse_args()
    if args.width is not None and not args.ranking:
        parser.error("--width is for --ranking")
    print(machine())
    print("| pictures | encoding | peak | ranking in blocks | peak | by the matrix | peak |")
    print("|---|---|---|---|---|---|---|")
    for images in args.images:
        with tempfile.TemporaryDirectory() as temporary:
            root = Path(temporary)
            if not args.ranking:
                write_split(root, "testall", images)
                write_bert(root / "bert", layers=1)
            receiver, sender = multiprocessing.Pipe(False)
            context = multiprocessing.get_context("spawn")
            work = (
                (measure_ranking, images, args.width or WIDTH) if args.ranking else (measure, root)
            )
            child = context.Process(target=work[0], args=(*work[1:], sender))
            child.start()
            sender.close()  # so that a child that fails ends this too
            figures = receiver.recv()
            child.join()
        cells = ("- | -" if cell is None else f"{cell[0]:.2f} s | {cell[1]:.2f} GB"
                 for cell in figures)  # fmt: skip
        print(f"| {images:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    with exit_on_error():
        main()
