"""CMSEI's scores of all pairs, beside two naive loops over captions.

python benchmarks/pairs.py [--direction t2i] [--images 200] [--captions 1000] [--naive 20]

The paper's sizes (BERT-base, 1,024 values, 36 regions; captions of 8 to 20 pieces), random weights
and inputs, on the CPU or --device cuda. Both loops take one caption at a time with all images, and
compute Eq. 5-9 as they stand: each pair's attended vectors go through W1, W2 and W3. One runs the
whole model for every caption; the other is given the encodings, each made once. They are timed on
the first captions only, on which all have to give the same scores, and against our rate on all
captions, encodings included for the first loop and not for the second. The rate on a GPU is also
that of COCO 5K's 125 million pairs.
"""

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize
from transformers import BertConfig, BertModel

from benchmarks.measure import from_one, machine, median_rate, seconds
from lib.arguments import new_parser
from lib.batch import ImageBatch, TextBatch, concatenate
from lib.config import PRECISIONS
from lib.device import encoding_batch, precision_context
from lib.errors import exit_on_error
from lib.models.cmsei.config import Config
from lib.models.cmsei.graphs import Fragments
from lib.models.cmsei.interaction import Interaction
from lib.models.cmsei.model import CMSEI

REGIONS, WIDTH = 36, 2048
FIRST_WORD = 1000  # of BERT's vocabulary
COCO_CAPTIONS = 25_000
COCO_PAIRS = 5000 * COCO_CAPTIONS


def make_images(count: int) -> ImageBatch:
    """Random regions, boxes, and relations between a tenth of the pairs of regions."""
    corners = torch.rand(count, REGIONS, 2) * 300
    boxes = torch.cat([corners, corners + 20 + torch.rand(count, REGIONS, 2) * 200], dim=-1)
    return ImageBatch(
        features=torch.randn(count, REGIONS, WIDTH).relu(),
        lengths=torch.full((count,), REGIONS),
        indices=torch.arange(count),
        arrays={"boxes": boxes, "relations": (torch.rand(count, REGIONS, REGIONS) < 0.1).float()},
    )


def make_captions(count: int) -> TextBatch:
    """Random pieces of words, longest first, as evaluation batches them."""
    lengths = torch.randint(8, 21, (count,)).sort(descending=True).values
    ids = torch.randint(FIRST_WORD, BertConfig().vocab_size, (count, int(lengths[0])))
    batch = TextBatch(ids, lengths, torch.arange(count))
    return TextBatch(ids * batch.mask, lengths, batch.indices)


def make_model(direction: str) -> CMSEI:
    """Of random weights."""
    return CMSEI(Config(direction=direction), BertModel(BertConfig())).eval()


def encoded(model: CMSEI, images: ImageBatch, captions: TextBatch) -> tuple[Fragments, Fragments]:
    """Everything once, in batches."""
    size = encoding_batch(images.features.device)
    parts = [range(start, start + size) for start in range(0, len(captions), size)]
    texts = (captions[part.start : part.stop] for part in parts)
    return (
        concatenate(
            [model.encode_images(images[i : i + size]) for i in range(0, len(images), size)]
        ),
        concatenate([model.encode_texts(_trimmed(part)) for part in texts]),
    )


def _trimmed(captions: TextBatch) -> TextBatch:
    width = int(captions.lengths.max())
    return TextBatch(captions.ids[:, :width], captions.lengths, captions.indices)


def naive_scores(model: Interaction, queries: Fragments, contexts: Fragments) -> Tensor:
    """Eq. 5-9 of one caption with all images: (B,), of B queries each with its own context."""
    rows, mask = queries.rows, queries.mask[..., None]
    for part in model.rounds:
        directions = normalize(contexts.rows, dim=-1).transpose(1, 2)
        similarity = model.smoothing * (normalize(rows, dim=-1) @ directions)
        weights = similarity.masked_fill(~contexts.mask[:, None], -torch.inf).softmax(dim=-1)
        attended = weights @ contexts.rows
        fused = part.fusion(rows * part.gate(attended).tanh() + part.shift(attended))
        rows = fused.relu() + rows
    gate = (model.importance(rows) * contexts.whole[:, None]).sigmoid()
    lengths = mask.sum(dim=1)
    out = ((gate * rows + rows) * mask).sum(dim=1) / lengths + queries.salient
    return cosine_similarity(out, contexts.whole)


def naive_loop(model: CMSEI, images: Fragments, texts: Fragments, count: int) -> Tensor:
    """Scores (n, count) of the first captions."""
    columns = []
    for caption in range(count):
        text = texts[caption : caption + 1].trimmed()
        text = text.map(lambda tensor: tensor.expand(len(images), *tensor.shape[1:]))
        pair = (images, text) if model.direction == "i2t" else (text, images)
        columns.append(naive_scores(model.interaction, *pair))
    return torch.stack(columns, dim=1)


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--direction",
        choices=("i2t", "t2i"),
        default="i2t",
        help="which version of CMSEI to measure",
    )
    parser.add_argument("--images", type=from_one, default=200, help="how many images to score")
    parser.add_argument(
        "--captions", type=from_one, default=1000, help="how many captions to score"
    )
    parser.add_argument(
        "--naive", type=from_one, default=20, help="how many captions the loops get"
    )
    parser.add_argument("--repeats", type=from_one, default=3, help="measurements, in turns")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="fp32", help="of the products of ours"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute")
    args = parser.parse_args()
    print(machine())
    torch.manual_seed(0)
    device = torch.device(args.device)
    model = make_model(args.direction).to(device)
    model.pair_memory_gb = 8.0
    images, captions = make_images(args.images).to(device), make_captions(args.captions).to(device)
    order = torch.randperm(args.captions, device=device)  # the loops' captions are of any length
    few = captions[order[: args.naive]]

    def encodings(texts: TextBatch) -> tuple[Fragments, Fragments]:
        with precision_context(device, args.precision):
            found = encoded(model, images, texts)
        return tuple(
            part.map(lambda t: t if t.dtype == torch.bool else t.float()) for part in found
        )

    def scores(pair: tuple[Fragments, Fragments]) -> Tensor:
        with precision_context(device, args.precision):
            return model.score(*pair)

    def whole_model(texts: TextBatch) -> Tensor:
        columns = []
        for caption in range(len(texts)):
            pair = encoded(model, images, texts[caption : caption + 1])
            columns.append(naive_loop(model, *pair, 1))
        return torch.cat(columns, dim=1)

    with torch.inference_mode():
        kept = encodings(captions)
        some = encoded(model, images, few)
        expected = whole_model(few)
        deviations = [
            (found - expected).abs().max().item()
            for found in (scores(encodings(few)), naive_loop(model, *some, len(few)))
        ]
        print(f"scores deviate by at most {max(deviations):.0e}")
        if args.precision == "fp32" and max(deviations) > 1e-5:
            sys.exit("error: that is more than 1e-5")
        pairs = {"ours": args.images * args.captions, "naive": args.images * len(few)}
        rates: dict[str, list[float]] = {name: [] for name in ("encode", "score", "whole", "loop")}
        of_coco = []  # seconds
        for _ in range(args.repeats):
            encoding, scoring = seconds(lambda: encodings(captions)), seconds(lambda: scores(kept))
            rates["encode"].append(pairs["ours"] / (encoding + scoring))
            rates["score"].append(pairs["ours"] / scoring)
            of_coco.append(
                encoding * COCO_CAPTIONS / args.captions + COCO_PAIRS * scoring / pairs["ours"]
            )
            rates["whole"].append(pairs["naive"] / seconds(lambda: whole_model(few)))
            rates["loop"].append(
                pairs["naive"] / seconds(lambda: naive_loop(model, *some, len(few)))
            )
    name = f"{'I-T' if args.direction == 'i2t' else 'T-I'}, {args.precision}"
    for ours, naive, against in (
        ("encode", "whole", "the whole model for each caption"),
        ("score", "loop", "encodings given"),
    ):
        ratio = statistics.median(rates[ours]) / statistics.median(rates[naive])
        print(
            f"| {name}, {args.images} x {args.captions:,}; {against} | "
            f"{median_rate(rates[ours])} pairs/s | {median_rate(rates[naive])} pairs/s | "
            f"{ratio:.2f} x | at least 5 x |"
        )
    hours = statistics.median(of_coco) / 3600
    print(f"COCO 5K's 125 million pairs at these rates: {hours:.1f} hours")


if __name__ == "__main__":
    with exit_on_error():
        main()
