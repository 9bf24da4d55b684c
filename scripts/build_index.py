"""Builds an index of a folder of embeddings, for galleries beyond a million pictures.

python eval.py --checkpoint runs/coco_region --save_embeddings runs/coco_region/embeddings
python scripts/build_index.py runs/coco_region/embeddings
python scripts/search.py --checkpoint runs/coco_region --query "two dogs on a beach"

FAISS's OPQ, IVF and PQ: 72 bytes a vector in index/ inside the folder, which scripts/search.py and
scripts/explore.py use when it is there, until the embeddings change. Needs faiss, an extra. A build
that was stopped goes on where it was; torchrun or srun starts several processes, on one machine or
many, each of which adds its share of the shards.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lib  # noqa: F401  # isort: skip - from here on Ctrl-C leaves quietly

from lib.arguments import new_parser, path_arg
from lib.errors import exit_on_error
from lib.evaluation.embedding_shards import EmbeddingShards
from lib.evaluation.index_builder import Shape, build_index, default_lists
from lib.share import share_of_environment


def build(args: argparse.Namespace) -> None:
    """Build what is not there yet."""
    shards = EmbeddingShards(args.embeddings)
    lists = args.lists or default_lists(len(shards.images))
    build_index(shards, Shape(lists, args.code), share_of_environment(), args.overwrite)


def main(words: list[str] | None = None) -> None:
    """Build the index that the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "embeddings", type=path_arg, help="a folder of eval.py --save_embeddings FOLDER"
    )
    parser.add_argument(
        "--lists",
        type=int,
        help="lists that vectors are sorted into; default: about the square root of their number",
    )
    parser.add_argument("--code", type=int, default=64, help="bytes of a vector's code")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an index of other embeddings"
    )
    args = parser.parse_args(words)
    if (args.lists is not None and args.lists < 1) or args.code < 1:
        parser.error("--lists and --code must be at least 1")
    with exit_on_error():
        build(args)


if __name__ == "__main__":
    main()
