"""The arguments that all extraction commands share."""

import argparse
from collections.abc import Sequence

import torch

from lib.arguments import DEVICE_HELP, new_parser, path_arg
from lib.device import default_workers, local_device
from lib.errors import InputError
from lib.extraction.grid import LONGEST, SHORTEST, GridExtractor, load_extractor
from lib.extraction.runner import Job
from lib.models.common.backbone_weights import X101
from lib.models.family import IMAGENET, backbone_problem
from lib.share import share_of_environment


def parser_of(
    documentation: str | None, batch_size: int | None, dtype: bool = True
) -> argparse.ArgumentParser:
    """A parser with the arguments of all extraction commands.

    Args:
        documentation: the script's.
        batch_size: default of ``--batch_size``, for a model that reads pictures; None for a
            command that reads none, which has neither ``--images`` nor a device.
        dtype: whether it writes arrays whose type can be chosen.
    """
    parser = new_parser(documentation)
    parser.add_argument(
        "--data", type=path_arg, required=True, help="folder that holds {split}_ids.txt"
    )
    parser.add_argument("--splits", help="to make, as in train,dev; default: every <split>_ids.txt")
    if dtype:
        parser.add_argument(
            "--dtype", default="float16", choices=("float16", "float32"), help="of the arrays"
        )
    parser.add_argument(
        "--workers",
        type=int,
        help="processes that read files; default: one per core, at most 4, shared by the processes "
        "of torchrun or Slurm on this machine",
    )
    if batch_size is not None:
        parser.add_argument(
            "--images",
            type=path_arg,
            required=True,
            help="folder of the pictures, in subfolders or not",
        )
        parser.add_argument(
            "--mapping", type=path_arg, help="JSON object, image id -> file inside --images"
        )
        parser.add_argument("--batch_size", type=int, default=batch_size, help="pictures at once")
        parser.add_argument(
            "--device", default="auto", choices=("auto", "cpu", "cuda"), help=DEVICE_HELP
        )
    return parser


SIZES = ("shortest", "longest", "size")  # of what add_backbone adds


def add_backbone(parser: argparse.ArgumentParser) -> None:
    """Add what says which network makes maps, and of pictures of which size."""
    parser.add_argument("--backbone", default=X101, help="a ResNet of torchvision's, or timm:NAME")
    parser.add_argument(
        "--weights",
        default=IMAGENET,
        help="a file like X-101.pth, random, or imagenet, which is torchvision's or timm's own",
    )
    parser.add_argument(
        "--shortest", type=int, help=f"pixels of the shorter side; default: {SHORTEST}"
    )
    parser.add_argument(
        "--longest", type=int, help=f"most pixels of the longer side; default: {LONGEST}"
    )
    parser.add_argument(
        "--size", type=int, help="of a timm network: pixels of both sides; default: its own"
    )


def extractor_of(args: argparse.Namespace) -> GridExtractor:
    """The network that the arguments of :func:`add_backbone` ask for. Raises InputError: it is
    unknown or unavailable, or see :func:`lib.extraction.grid.load_extractor`."""
    if problem := backbone_problem(args.backbone):
        raise InputError(f"--backbone is {args.backbone!r}, {problem}")
    sizes = {name: getattr(args, name) for name in SIZES}
    return load_extractor(args.weights, args.backbone, **sizes)


def parse(
    parser: argparse.ArgumentParser, words: Sequence[str] | None, sizes: Sequence[str]
) -> argparse.Namespace:
    """The command line, or ``words`` instead of it; leaves with the usage where one of the named
    ``sizes``, or ``batch_size``, is below 1."""
    args = parser.parse_args(words)
    for name in ("batch_size", *sizes):
        value = getattr(args, name, None)
        if value is not None and value < 1:
            parser.error(f"--{name} is {value}, expected 1 or more")
    if args.workers is not None and args.workers < 0:
        parser.error(f"--workers is {args.workers}, expected 0 or more")
    return args


def job_of(args: argparse.Namespace, extractor: str) -> Job:
    """What the library needs of the arguments; ``extractor`` is one word, for ``failed.txt``.
    Raises InputError: see :func:`lib.share.share_of_environment`."""
    batch_size = getattr(args, "batch_size", Job.batch_size)
    place = getattr(args, "out", "")
    share = share_of_environment()
    workers = args.workers
    if workers is None:
        workers = default_workers(processes=share.local_world_size)
    place = place if isinstance(place, str) else ""
    return Job(args.data, extractor, batch_size, workers, place, share)


def device_of(args: argparse.Namespace) -> torch.device:
    """Where a command computes; of several GPUs each process of a machine has its own. Raises
    InputError: no such device, or see :func:`lib.share.share_of_environment`."""
    return local_device(args.device, share_of_environment().local_rank)
