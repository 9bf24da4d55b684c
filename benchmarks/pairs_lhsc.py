"""LHSC's scores of all pairs, beside a naive loop over captions and beside their bare products.

python benchmarks/pairs_lhsc.py [--images 200] [--captions 300] [--precision bf16]

The paper's sizes (1,024 values, 36 regions, similarity vectors of 256; captions of 8 to 20 words),
random encodings and weights, on the CPU or --device cuda. All three are given the encodings. The
loop takes one caption at a time with all images, as the authors' does, and computes the equations
as they stand. The bare products are the three that no rewriting avoids, words by regions, regions
by their weights, and squared differences by the local similarity's matrix, in blocks that stay in
a processor's cache, and nothing else: no way of scoring is faster than they are.
"""

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from benchmarks.measure import compare, from_one, machine
from lib.arguments import new_parser
from lib.batch import row_mask
from lib.config import PRECISIONS
from lib.device import precision_context
from lib.errors import exit_on_error
from lib.models.common.layers import unit
from lib.models.lhsc.config import Config
from lib.models.lhsc.images import Regions
from lib.models.lhsc.model import LHSC
from lib.models.lhsc.sentences import Words
from lib.models.lhsc.similarity import SLOPE, SMOOTHING, Similarity

SHORTEST, LONGEST = 8, 20
BLOCK = 32  # images of the bare products
VOCABULARY = 100  # of no consequence
COCO_PAIRS = 5000 * 25_000


def encodings(images: int, captions: int) -> tuple[Regions, Words]:
    """Random ones, of unit length."""
    config = Config()
    size, regions = config.embed_size, config.regions
    mask = row_mask(torch.randint(SHORTEST, LONGEST + 1, (captions,)), LONGEST)
    rows = unit(torch.randn(captions, LONGEST, size)) * mask[..., None]
    return (
        Regions(unit(torch.randn(images, regions, size)), unit(torch.randn(images, size))),
        Words(rows, mask, unit(torch.randn(captions, size))),
    )


def naive_loop(model: Similarity, images: Regions, texts: Words) -> Tensor:
    """(I, C), a caption at a time."""
    columns = []
    for caption in range(len(texts)):
        text = texts[caption : caption + 1].trimmed()
        words = text.rows.expand(len(images), -1, -1)
        products = leaky_relu(images.rows @ words.transpose(1, 2), SLOPE)  # (I, K, N)
        weights = (SMOOTHING * unit(products)).softmax(dim=1).transpose(1, 2)
        attended = unit(weights @ images.rows)
        vectors = unit(model.local((attended - words) ** 2))
        whole = unit(model.whole((images.whole - text.whole) ** 2))
        vectors = torch.cat((whole[:, None], vectors), dim=1)
        shares = model.filter_norm.normalised(model.filter(vectors).squeeze(-1), None).sigmoid()
        shares = shares / (shares.sum(dim=1, keepdim=True) + 1e-8)
        joint = unit((shares[:, None] @ vectors).squeeze(1))
        columns.append(model.output(joint).sigmoid())
    return torch.cat(columns, dim=1)


def bare_products(model: Similarity, images: Regions, texts: Words) -> None:
    """The three products of every pair, of values that do not matter."""
    matrix = model.local.weight.T.contiguous()
    for caption in range(len(texts)):
        words = texts[caption : caption + 1].trimmed().rows[0]
        for start in range(0, len(images), BLOCK):
            rows = images.rows[start : start + BLOCK]
            products = (words @ rows.flatten(0, 1).T).view(len(words), *rows.shape[:2])
            attended = products.transpose(0, 1) @ rows
            attended.flatten(0, 1) @ matrix


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--images", type=from_one, default=200, help="how many images to score")
    parser.add_argument("--captions", type=from_one, default=300, help="how many captions to score")
    parser.add_argument("--repeats", type=from_one, default=3, help="measurements, in turns")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="fp32", help="of the products of ours"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute")
    args = parser.parse_args()
    print(machine())
    torch.manual_seed(0)
    device = torch.device(args.device)
    model = LHSC(Config(), VOCABULARY).eval().to(device)
    images, texts = (part.to(device) for part in encodings(args.images, args.captions))

    def ours() -> Tensor:
        with precision_context(device, args.precision):
            return model.score(images, texts)

    def naive() -> Tensor:
        return naive_loop(model.similarity, images, texts)

    with torch.inference_mode():
        deviation = (ours() - naive()).abs().max().item()
        print(f"scores deviate by at most {deviation:.0e}")
        allowed = 1e-6 if args.device == "cpu" else 1e-5  # a GPU sums in another order
        if args.precision == "fp32" and deviation > allowed:
            sys.exit(f"error: that is more than {allowed:.0e}")
        pairs, name = args.images * args.captions, f"{args.images} x {args.captions}"
        name = f"{name}, {args.precision}"
        found = compare(ours, naive, args.repeats)
        print(found.row(f"{name}; a naive loop", "at least 5 x", pairs, "pairs"))
        rate = pairs / statistics.median(found.ours)
        found = compare(ours, lambda: bare_products(model.similarity, images, texts), args.repeats)
        print(found.row(f"{name}; the bare products", "1 x, the bound", pairs, "pairs"))
        hours = COCO_PAIRS / rate / 3600
        print(f"COCO 5K's 125 million pairs at this rate: {hours:.2f} hours")


if __name__ == "__main__":
    with exit_on_error():
        main()
