"""COCO-style evaluation end to end, encoding and both protocols, beside the literal one.

python benchmarks/evaluation.py [--images 200]                 # times, random weights, BERT-base
python benchmarks/evaluation.py --checkpoint P --data_path D   # recalls in bf16, trained on scenes

The literal one encodes each picture for each of its five captions, captions in their order, and
everything again for the second protocol. Recalls have to be equal.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import Tensor

from benchmarks import literal
from benchmarks.measure import compare, from_one, machine
from benchmarks.splits import settings, write_bert, write_split
from lib.arguments import new_parser
from lib.data.captions import CAPTIONS_PER_IMAGE, TokenisedCaptions, tokenise
from lib.data.dataset import collate_images, collate_texts, evaluation_item
from lib.data.split import Split, open_split
from lib.device import encoding_batch
from lib.errors import exit_on_error
from lib.evaluation.encode import encode_split
from lib.evaluation.evaluator import score_checkpoint
from lib.evaluation.metrics import RetrievalMetrics
from lib.evaluation.opened import FeatureChoice, Target
from lib.evaluation.protocols import FOLDS, evaluate
from lib.models import build_model
from lib.models.common.bert import BertTokenizer
from lib.models.threeshnet.model import ThreeSHNet

BATCH = 128  # the release's


def recalls(metrics: RetrievalMetrics) -> list[float]:
    """R@1, 5, 10 of both directions."""
    return [r for side in (metrics.i2t, metrics.t2i) for r in (side.r1, side.r5, side.r10)]


def literal_embeddings(
    model: ThreeSHNet, split: Split, captions: TokenisedCaptions, first: int, last: int
) -> tuple[Tensor, Tensor]:
    """Of the pairs of pictures ``first`` to ``last``: (5n, D) twice."""
    pairs = range(first * CAPTIONS_PER_IMAGE, last * CAPTIONS_PER_IMAGE)
    images, texts = [], []
    for start in range(pairs.start, pairs.stop, BATCH):
        batch = range(start, min(start + BATCH, pairs.stop))
        items = [evaluation_item(split, pair // CAPTIONS_PER_IMAGE) for pair in batch]
        images.append(collate_images(items, split.region_axes))
        rows = [(pair, captions.ids(pair)) for pair in batch]
        texts.append(collate_texts(rows, captions.tokenizer.padding_id))
    return literal.embed_pairs(model, images, texts)


def literal_evaluation(
    model: ThreeSHNet, split: Split, captions: TokenisedCaptions
) -> list[list[float]]:
    """The recalls of the mean of five folds, and of the whole."""

    def of(first: int, last: int) -> list[float]:
        images, texts = literal_embeddings(model, split, captions, first, last)
        return literal.recalls((images[::CAPTIONS_PER_IMAGE] @ texts.T).numpy())

    images = len(split.image_ids)
    size = images // FOLDS
    folds = [of(start, start + size) for start in range(0, images, size)]
    return [np.mean(folds, axis=0).tolist(), of(0, images)]


def times(images: int, repeats: int) -> None:
    """Print the rows of RESULTS.md."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_split(root, "testall", images)
        config = settings(root, write_bert(root / "bert"))
        split = open_split(config, "testall")
        tokenizer = BertTokenizer(config.model.bert)
        captions = tokenise(split.captions, tokenizer)
        model = build_model(config.model, tokenizer).eval()
        size = encoding_batch(torch.device("cpu"))

        def ours(precision: str) -> list[list[float]]:
            embeddings = encode_split(model, split, captions, size, 0, precision=precision)
            results = evaluate(embeddings.blocks(model), "coco", "testall")
            return [recalls(result.metrics) for result in results]

        def slow() -> list[list[float]]:
            return literal_evaluation(model, split, captions)

        if not np.allclose(ours("fp32"), slow()):
            sys.exit(f"error: recalls {ours('fp32')} differ from the literal {slow()}")
        for precision, wanted in (("fp32", "at least 4 x"), ("bf16", "at least 8 x")):
            found = compare(lambda precision=precision: ours(precision), slow, repeats)
            name = f"COCO-style evaluation of {images} pictures, {precision}"
            print(found.row(name, wanted, images, "pictures"), flush=True)


def precisions(checkpoint: str, data: str, split: str) -> None:
    """Print the recalls of a checkpoint on a split of scenes in three precisions."""
    for precision in ("fp32", "tf32", "bf16"):
        target = Target(data, "scenes", split, precision=precision)
        scores = score_checkpoint(checkpoint, target, FeatureChoice()).scores
        (result,) = evaluate(scores, "scenes", split)
        cells = " / ".join(f"{recall:.1f}" for recall in recalls(result.metrics))
        print(f"| {precision} | {cells} | {result.metrics.rsum:.1f} |", flush=True)


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--images", type=from_one, default=200, help="pictures to score, a multiple of five"
    )
    parser.add_argument(
        "--repeats", type=from_one, default=3, help="measurements; their median counts"
    )
    parser.add_argument("--checkpoint", help="a checkpoint to evaluate instead of random weights")
    parser.add_argument("--data_path", default="data", help="folder that holds <dataset>_precomp/")
    parser.add_argument("--split", default="test", help="split of scenes, with --checkpoint")
    args = parser.parse_args()
    print(machine())
    torch.manual_seed(0)
    if args.checkpoint:
        precisions(args.checkpoint, args.data_path, args.split)
    else:
        times(args.images, args.repeats)


if __name__ == "__main__":
    with exit_on_error():
        main()
