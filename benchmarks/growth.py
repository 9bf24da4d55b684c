"""How encoding, memory and ranking grow with the pictures of a split.

python benchmarks/growth.py [--images 1000 5000 20000]

Region-level 3SHNet with random weights and a BERT of one layer (the others take as much each, per
caption); 36 regions, float32. Each size runs in a process of its own; peaks are of the memory above
the model's. Scores of n pictures and their captions are a matrix of 5 n^2 values: its time and
memory are quadratic, and nothing else's.
"""

import multiprocessing
import resource
import sys
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

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
from lib.evaluation.encode import encode_split
from lib.evaluation.metrics import retrieval_metrics
from lib.models import build_model
from lib.models.common.bert import BertTokenizer


def anonymous_memory() -> float:
    """GB that this process holds itself, the mapped files aside."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


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


def measure(root: Path, sender: Connection) -> None:
    """Send seconds of encoding, scoring and ranking, each with its peak above the model's GB."""
    config = settings(root, root / "bert")
    split = open_split(config, "testall")
    tokenizer = BertTokenizer(config.model.bert)
    model = build_model(config.model, tokenizer).eval()
    captions = tokenise(split.captions, tokenizer)
    before, size = anonymous_memory(), encoding_batch(torch.device("cpu"))
    with Watch() as encoding:
        embeddings = encode_split(model, split, captions, size, 0)
    with Watch() as scoring:
        scores = embeddings.scores(model)
    with Watch() as ranking:
        retrieval_metrics(scores, np.arange(scores.shape[1]) // CAPTIONS_PER_IMAGE)
    sender.send([(watch.seconds, watch.peak - before) for watch in (encoding, scoring, ranking)])


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--images",
        type=from_one,
        nargs="+",
        default=[1000, 5000, 20_000],
        help="sizes of the split to measure",
    )
    args = parser.parse_args()
    print(machine())
    print("| pictures | encoding | peak | scoring | peak | ranking | peak |")
    print("|---|---|---|---|---|---|---|")
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
            figures = receiver.recv()
            child.join()
        cells = (f"{seconds:.2f} s | {peak:.2f} GB" for seconds, peak in figures)
        print(f"| {images:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    with exit_on_error():
        main()
