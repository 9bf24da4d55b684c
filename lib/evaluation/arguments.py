"""The options of the programs that score: what on, how, and where a family's own files are."""

import argparse
from typing import Any

from lib.arguments import dataset_arg
from lib.config import PRECISIONS
from lib.device import default_workers
from lib.evaluation.opened import Target
from lib.evaluation.protocols import default_split
from lib.models import location_options


def add_locations(parser: argparse.ArgumentParser, searchable: bool = False) -> None:
    """Add the options of every family, or of those that have vectors to search among."""
    for name, line in location_options(searchable).items():
        parser.add_argument(f"--{name}", help=line)


def locations_in(args: argparse.Namespace) -> dict[str, str]:
    """Setting -> the place that the command line gives for it."""
    given = {name: getattr(args, name, None) for name in location_options()}
    return {name: value for name, value in given.items() if value is not None}


def add_arguments(parser: argparse.ArgumentParser, per_checkpoint: bool) -> None:
    """What to score on and how; ``per_checkpoint``: features are given for each of several."""
    several: dict[str, Any] = {"nargs": "+"} if per_checkpoint else {}
    one = "per checkpoint; " if per_checkpoint else ""
    parser.add_argument("--data_path", default="data", help="holds <dataset>_precomp/")
    parser.add_argument("--dataset", required=True, type=dataset_arg, help="coco, f30k, ...")
    parser.add_argument("--split", help="default: testall for coco, else test")
    parser.add_argument(
        "--features", choices=("region", "grid"), help=one + "default: as trained", **several
    )
    parser.add_argument(
        "--features_folder",
        help=one + "of one file per image, or of pictures; '' for *_ims.npy",
        **several,
    )
    parser.add_argument(
        "--images",
        metavar="FOLDER",
        help="of pictures, for a model that reads them; default: images/ of the dataset",
    )
    parser.add_argument("--grid_size", help="side that grids are pooled to, or off")
    add_locations(parser)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument(
        "--batch_size", type=int, help="encoded at once; default: 128 on a GPU, 32 on a CPU"
    )
    parser.add_argument("--workers", type=int, default=default_workers(2))
    parser.add_argument("--precision", default="fp32", choices=PRECISIONS)
    parser.add_argument(
        "--pair_memory_gb", type=float, help="for a family that scores pairs; default: as trained"
    )


def target_of(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Target:
    """What to score on; leaves with the usage where a value makes no sense."""
    if args.pair_memory_gb is not None and not args.pair_memory_gb > 0:
        parser.error("--pair_memory_gb must be above 0")
    if (args.batch_size is not None and args.batch_size < 1) or args.workers < 0:
        parser.error("--batch_size must be at least 1, --workers at least 0")
    if args.grid_size not in (None, "off") and not (
        args.grid_size.isdecimal() and int(args.grid_size) > 0
    ):
        parser.error("--grid_size must be a number from 1, or off")
    names = ("device", "batch_size", "workers", "precision", "pair_memory_gb")
    split = args.split or default_split(args.dataset)
    options = {name: getattr(args, name) for name in names}
    return Target(args.data_path, args.dataset, split, locations_in(args), **options)
