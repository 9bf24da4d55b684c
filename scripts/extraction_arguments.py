"""The arguments that all extraction commands share."""

import argparse
from collections.abc import Sequence

from lib.arguments import path_arg
from lib.device import default_workers
from lib.extraction.runner import Job


def parser_of(documentation: str | None, batch_size: int | None) -> argparse.ArgumentParser:
    """A parser with the arguments of all extraction commands.

    Args:
        documentation: the script's.
        batch_size: default of ``--batch_size``, for a model that reads pictures; None for a
            command that reads none, which has neither ``--images`` nor a device.
    """
    parser = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=path_arg, required=True, help="holds {split}_ids.txt")
    parser.add_argument("--splits", help="as in train,dev; default: every <split>_ids.txt")
    parser.add_argument("--dtype", default="float16", choices=("float16", "float32"))
    parser.add_argument("--workers", type=int, default=default_workers(), help="that read files")
    if batch_size is not None:
        parser.add_argument("--images", type=path_arg, required=True, help="folder of pictures")
        parser.add_argument(
            "--mapping", type=path_arg, help="JSON: image id -> file inside --images"
        )
        parser.add_argument("--batch_size", type=int, default=batch_size)
        parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    return parser


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
    if args.workers < 0:
        parser.error(f"--workers is {args.workers}, expected 0 or more")
    return args


def job_of(args: argparse.Namespace, extractor: str) -> Job:
    """What the library needs of the arguments; ``extractor`` is one word, for ``failed.txt``."""
    batch_size = getattr(args, "batch_size", Job.batch_size)
    return Job(args.data, extractor, batch_size, args.workers, getattr(args, "out", ""))
