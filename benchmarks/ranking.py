"""Scoring and ranking 5,000 pictures x 25,000 captions both ways, beside the bare matrix product.

python benchmarks/ranking.py [--images 5000]

Random unit vectors of 1,024 values, float32, on the CPU. Also prints the memory that scoring and
ranking take above the embeddings, in a process of their own, and compares the recalls with those
of full sorts on the first 200 pictures.
"""

import multiprocessing
import resource
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch

from benchmarks import literal
from benchmarks.measure import compare, from_one, machine
from lib.arguments import new_parser
from lib.data.captions import CAPTIONS_PER_IMAGE
from lib.errors import exit_on_error
from lib.evaluation.encode import Embeddings
from lib.evaluation.metrics import RetrievalMetrics, retrieval_metrics
from lib.models.common.layers import unit

WIDTH = 1024


class DotProduct(torch.nn.Module):
    """The score of every two-tower model."""

    pairwise = False

    def __init__(self) -> None:
        super().__init__()
        self.place = torch.nn.Parameter(torch.empty(0))  # tells the device

    def score(self, images: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        """(n, D) and (m, D) -> (n, m)."""
        return images @ texts.T


def make(images: int) -> Embeddings:
    """Pictures, and captions near them."""
    torch.manual_seed(0)
    pictures = unit(torch.randn(images, WIDTH))
    noise = unit(torch.randn(images * CAPTIONS_PER_IMAGE, WIDTH))
    near = pictures.repeat_interleave(CAPTIONS_PER_IMAGE, 0)
    return Embeddings(pictures, unit(near.mul_(0.15).add_(noise)))


def score_and_rank(embeddings: Embeddings) -> RetrievalMetrics:
    """As evaluation does, COCO 5K."""
    scores = embeddings.blocks(DotProduct())
    return retrieval_metrics(scores, np.arange(scores.shape[1]) // CAPTIONS_PER_IMAGE)


def memory(images: int, sender: object) -> None:
    """Peak memory in MB above the embeddings."""
    embeddings = make(images)
    score_and_rank(Embeddings(embeddings.images[:10], embeddings.captions[:50]))  # libraries
    status = Path("/proc/self/status").read_text().split()
    now = int(status[status.index("VmRSS:") + 1])  # kB; the peak so far has more than embeddings
    score_and_rank(embeddings)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sender.send((peak - now) * 1024 / 1e6)


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--images", type=from_one, default=5000, help="pictures of the matrix")
    parser.add_argument(
        "--repeats", type=from_one, default=5, help="measurements; their median counts"
    )
    args = parser.parse_args()
    print(machine())
    receiver, sender = multiprocessing.Pipe(False)
    child = multiprocessing.get_context("spawn").Process(target=memory, args=(args.images, sender))
    child.start()
    sender.close()  # so that a child that fails ends this too
    above = receiver.recv()
    child.join()
    embeddings = make(args.images)
    few = Embeddings(embeddings.images[:200], embeddings.captions[: 200 * CAPTIONS_PER_IMAGE])
    found, expected = score_and_rank(few), literal.recalls(few.scores(DotProduct()))
    recalls = [r for side in (found.i2t, found.t2i) for r in (side.r1, side.r5, side.r10)]
    if not np.allclose(recalls, expected):
        sys.exit(f"error: recalls {recalls} differ from those of full sorts, {expected}")
    pictures, captions = embeddings.images, embeddings.captions.T
    times = compare(lambda: score_and_rank(embeddings), lambda: pictures @ captions, args.repeats)
    ours, bare = (sorted(t) for t in (times.ours, times.literal))
    texts = [f"{statistics.median(t):.2f} s ({t[0]:.2f} to {t[-1]:.2f})" for t in (ours, bare)]
    size = f"{args.images:,} x {len(embeddings.captions):,}"
    print(
        f"| scoring + ranking {size} both ways | {texts[0]}, {above:.0f} MB above the embeddings | "
        f"{texts[1]}, the bare product | {1 / times.ratio:.2f} of it | at most 1.3, 700 MB |"
    )


if __name__ == "__main__":
    with exit_on_error():
        main()
