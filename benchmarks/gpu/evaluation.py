"""Evaluation of COCO's size: 5,000 pictures and 25,000 captions of random features and words.

python -m benchmarks.gpu.evaluation [--device cuda] [--images 5000]

3SHNet on regions with BERT-base: seconds of encoding, and of scoring and ranking both protocols, in
each precision; and the most memory that tensors took on the GPU."""

import argparse
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.measure import from_one, seconds
from benchmarks.splits import settings, write_bert, write_split
from lib.arguments import new_parser
from lib.config import PRECISIONS
from lib.data.captions import tokenise
from lib.data.split import open_split
from lib.device import default_workers, encoding_batch, resolve_device
from lib.errors import exit_on_error
from lib.evaluation.encode import Embeddings, encode_split
from lib.evaluation.protocols import evaluate
from lib.models import build_model
from lib.models.common.bert import BertTokenizer


def measure(args: argparse.Namespace, root: Path) -> None:
    """Print a row per precision."""
    write_split(root, "testall", args.images)
    config = settings(root, write_bert(root / "bert", args.layers))
    split, tokenizer = open_split(config, "testall"), BertTokenizer(config.model.bert)
    captions = tokenise(split.captions, tokenizer)
    device = resolve_device(args.device)
    model = build_model(config.model, tokenizer).eval().to(device)
    about = (model, split, captions, encoding_batch(device), default_workers())
    print("| precision | encoding | pictures/s | scoring and ranking | memory |")
    print("|---|---|---|---|---|")
    for precision in PRECISIONS:
        if args.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        kept: list[Embeddings] = []
        encode_split(*about, images=min(5, args.images), precision=precision)  # to warm up
        encoding = seconds(
            lambda p=precision, kept=kept: kept.append(encode_split(*about, precision=p))
        )
        ranking = seconds(lambda kept=kept: evaluate(kept[0].blocks(model), "coco", "testall"))
        memory = "-"
        if args.device == "cuda":
            memory = f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB"
        rate = args.images / encoding
        cells = f"{encoding:.1f} s | {rate:,.0f} | {ranking:.2f} s | {memory}"
        print(f"| {precision} | {cells} |", flush=True)


def main(words: list[str] | None = None) -> None:
    """Measure what the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda", help="where to compute"
    )
    parser.add_argument(
        "--images", type=from_one, default=5000, help="pictures, a multiple of five"
    )
    parser.add_argument("--layers", type=from_one, default=12, help="how many layers BERT has")
    args = parser.parse_args(words)
    with exit_on_error(), tempfile.TemporaryDirectory() as temporary:
        measure(args, Path(temporary))


if __name__ == "__main__":
    sys.exit(main())
