"""The options of the programs that show runs: which, on what, and where the pictures are."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lib.arguments import DEVICE_HELP, PRECISION_HELP, path_arg
from lib.checkpoint import checkpoint_of, load_checkpoint
from lib.config import PRECISIONS
from lib.data.pictures import PictureFolder
from lib.data.split import dataset_folder
from lib.device import default_workers
from lib.display.gallery import Gallery
from lib.errors import InputError
from lib.evaluation.arguments import add_locations, locations_in
from lib.evaluation.embedding_shards import EmbeddingShards
from lib.evaluation.opened import FeatureChoice, Target
from lib.evaluation.protocols import default_split


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to show runs on."""
    parser.add_argument(
        "--data", type=path_arg, help="a folder <dataset>_precomp; default: the one trained on"
    )
    parser.add_argument(
        "--images", type=path_arg, help="folder of the pictures; default: images/ in --data"
    )
    parser.add_argument(
        "--mapping",
        type=path_arg,
        help="JSON object, image id -> file inside --images; default: pictures.json in --data",
    )
    parser.add_argument("--split", help="which split; default: testall for coco, else test")
    parser.add_argument(
        "--keep",
        type=path_arg,
        help="folder that keeps encodings; default: explorer/ beside the checkpoint",
    )
    parser.add_argument(
        "--features",
        choices=("region", "grid"),
        help="what a released file was trained on; default: region",
    )
    parser.add_argument(
        "--features_folder", help="folder of one file per image, in --data; default: as trained"
    )
    add_locations(parser)
    parser.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda"), help=DEVICE_HELP
    )
    parser.add_argument(
        "--workers", type=int, default=default_workers(2), help="processes that load features"
    )
    parser.add_argument("--precision", default="fp32", choices=PRECISIONS, help=PRECISION_HELP)


def data_of(data: Path | None, run: Path) -> tuple[str, str]:
    """``--data`` -> data path and data set; without it, those that the run was trained on. Raises
    InputError: a folder of another name, or no data there."""
    if data is None:
        config = load_checkpoint(checkpoint_of(run)).config.data
        root, dataset = config.root, config.dataset
    else:
        folder = Path(os.path.abspath(data))  # noqa: PTH100 - links stay, loops of them too
        if folder.name == "precomp":
            root, dataset = str(folder.parents[1]), folder.parent.name
        elif folder.name.endswith("_precomp"):
            root, dataset = str(folder.parent), folder.name.removesuffix("_precomp")
        else:
            raise InputError(
                f"--data {data}: expected a folder <dataset>_precomp or <dataset>/precomp"
            )
    dataset_folder(root, dataset)
    return root, dataset


def split_of(args: argparse.Namespace, run: Path) -> str:
    """``--split``, or the one that is the data set's default."""
    return args.split or default_split(data_of(args.data, run)[1])


def pictures_of(args: argparse.Namespace, runs: list[Path]) -> PictureFolder | None:
    """The pictures to show; None, with a note: there are none by the data, and none are named.
    Raises InputError: no such folder."""
    folder = dataset_folder(*data_of(args.data, runs[0]))
    images = args.images or folder / "images"
    if args.images is None and not images.is_dir():
        print("note: no pictures are shown; --images FOLDER says where they are", file=sys.stderr)
        return None
    own = folder / "pictures.json"
    return PictureFolder(images, args.mapping or (own if own.is_file() else None))


def galleries_of(
    args: argparse.Namespace,
    runs: list[Path],
    embeddings: list[Path] | None = None,
    exact: bool = False,
) -> list[Gallery]:
    """Each run's gallery, all on one split, of the folders of ``embeddings`` if they are given, one
    for each run, compared one by one if ``exact``. Raises InputError: anything wrong with them."""
    for run in runs:  # before the first one is encoded
        checkpoint_of(run)
    root, dataset = data_of(args.data, runs[0])
    split = split_of(args, runs[0])
    if embeddings and args.split is None:
        split = EmbeddingShards(embeddings[0]).split
    about = {"device": args.device, "workers": args.workers, "precision": args.precision}
    target = Target(root, dataset, split, locations_in(args), **about)
    choice = FeatureChoice(args.features, args.features_folder)
    folders: Sequence[Path | None] = embeddings or [None] * len(runs)
    if len(folders) != len(runs):
        raise InputError(f"--embeddings takes one folder per run: {len(runs)}, not {len(folders)}")
    return [
        Gallery(run, target, choice, args.keep, _say, folder, exact)
        for run, folder in zip(runs, folders, strict=True)
    ]


def _say(line: str) -> None:
    print(line, file=sys.stderr if line.startswith("note: ") else sys.stdout, flush=True)
