"""The options of the programs that score: what on, how, and where a family's own files are."""

import argparse
from pathlib import Path
from typing import Any

from lib.arguments import DEVICE_HELP, PRECISION_HELP, dataset_arg
from lib.config import PRECISIONS
from lib.device import default_workers
from lib.errors import InputError
from lib.evaluation.encode_shards import DTYPES, Keep
from lib.evaluation.extra_arguments import add_record
from lib.evaluation.opened import Target, trained_on
from lib.evaluation.protocols import default_split
from lib.models import location_options
from lib.models.common.hub import is_hub_word
from lib.share import share_of_environment

CHECKPOINT_HELP = "a run's folder, its model_best.pth, a released file, or hf://NAME of the hub"


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
    parser.add_argument(
        "--data_path",
        help="folder that holds <dataset>_precomp/; default: the one trained on, else data",
    )
    parser.add_argument(
        "--dataset",
        required=per_checkpoint,
        type=dataset_arg,
        help="coco, f30k, ..." + ("" if per_checkpoint else "; default: the one trained on"),
    )
    parser.add_argument("--split", help="which split; default: testall for coco, else test")
    parser.add_argument(
        "--features",
        choices=("region", "grid"),
        help=one + "which features; default: those trained on",
        **several,
    )
    parser.add_argument(
        "--features_folder",
        help=one + "folder of one file per image, or '' for *_ims.npy; default: as trained",
        **several,
    )
    parser.add_argument(
        "--images",
        metavar="FOLDER",
        help="of pictures, for a model that reads them; default: images/ of the dataset",
    )
    parser.add_argument(
        "--grid_size", help="side that grids are averaged to, or off; default: as trained"
    )
    add_locations(parser)
    parser.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda"), help=DEVICE_HELP
    )
    parser.add_argument(
        "--batch_size",
        type=int,
        help="pictures or captions at once; default: 128 on a GPU, 32 on a CPU",
    )
    parser.add_argument(
        "--workers", type=int, default=default_workers(2), help="processes that load features"
    )
    parser.add_argument("--precision", default="fp32", choices=PRECISIONS, help=PRECISION_HELP)
    parser.add_argument(
        "--pair_memory_gb",
        type=float,
        help="memory for a family that scores pairs; default: as trained",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Which model is scored, one of the hub or a checkpoint, perhaps behind a first stage."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--checkpoint", help=CHECKPOINT_HELP)
    which.add_argument(
        "--hub", metavar="NAME", help="a model of the Hugging Face hub, or a folder of one"
    )
    parser.add_argument(
        "--shortlist",
        type=int,
        metavar="K",
        help="for a family that scores pairs: score each query's K best candidates alone",
    )
    parser.add_argument(
        "--first_stage",
        metavar="P",
        help="the checkpoint that finds these candidates; it must have vectors",
    )


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """What of a model's scores is kept."""
    parser.add_argument(
        "--save_results",
        metavar="F",
        help="keep all scores and ids in this .safetensors, for eval_ensemble.py",
    )
    parser.add_argument(
        "--save_embeddings",
        metavar="F",
        help="keep the vectors and ids in this .safetensors, or in shards in this folder, whose "
        "name has no dot or ends in /; for scripts/search.py",
    )
    parser.add_argument(
        "--embeddings_dtype", choices=DTYPES, help=f"of a folder's shards; default: {DTYPES[0]}"
    )
    add_record(parser)


def keep_of(args: argparse.Namespace) -> Keep | None:
    """The folder of --save_embeddings: one that is there, or a new name that ends in / or has no
    dot; None: it is a file, or is not asked for. Raises InputError: a new file of another name than
    ``.safetensors``, a type for a file, or see :func:`lib.share.share_of_environment`."""
    given = args.save_embeddings or "nothing.safetensors"
    folder = Path(given)
    is_new = not folder.exists() and (not folder.suffix or given.endswith("/"))
    if folder.is_dir() or is_new:
        files, extras = (args.json, args.save_results), (args.ci, args.benchmarks, args.perturb)
        figures = (*files, *extras, args.shortlist)
        about = (args.embeddings_dtype or DTYPES[0], share_of_environment())
        return Keep(folder, *about, pictures_alone=not any(figures))
    if folder.suffix != ".safetensors" and not folder.exists():
        raise InputError(
            f"--save_embeddings {given}: expected a file's name, which ends in .safetensors, or a "
            "folder's, which has no dot or ends in /"
        )
    if args.embeddings_dtype is not None:
        raise InputError("--embeddings_dtype is for --save_embeddings FOLDER; a file has float32")
    return None


def target_of(parser: argparse.ArgumentParser, args: argparse.Namespace, checkpoint: str) -> Target:
    """What to score on; what is left out is where ``checkpoint`` was trained. Leaves with the usage
    where a value makes no sense. Raises InputError: the settings beside the checkpoint cannot be
    read, or there is no checkpoint to ask."""
    if args.pair_memory_gb is not None and not args.pair_memory_gb > 0:
        parser.error("--pair_memory_gb must be above 0")
    if (args.batch_size is not None and args.batch_size < 1) or args.workers < 0:
        parser.error("--batch_size must be at least 1, --workers at least 0")
    if args.grid_size not in (None, "off") and not (
        args.grid_size.isdecimal() and int(args.grid_size) > 0
    ):
        parser.error("--grid_size must be a number from 1, or off")
    names = ("device", "batch_size", "workers", "precision", "pair_memory_gb")
    left_out = args.dataset is None or args.data_path is None
    trained = trained_on(checkpoint) if left_out else None
    dataset, data_path = args.dataset, args.data_path
    if dataset is None:
        if trained is None and not is_hub_word(checkpoint) and not Path(checkpoint).exists():
            raise InputError(f"{checkpoint}: no such run or checkpoint")
        if trained is None:
            parser.error("--dataset is needed: there is no config.yaml beside the checkpoint")
        dataset = trained.dataset
    if data_path is None:
        there = trained is not None and Path(trained.root).is_dir()
        data_path = trained.root if trained is not None and there else "data"
    split = args.split or default_split(dataset)
    options = {name: getattr(args, name) for name in names}
    return Target(data_path, dataset, split, locations_in(args), **options)
