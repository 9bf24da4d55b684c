"""The options of all programs that score, those without torch too: what is told beside the
protocols, and where the figures are kept."""

import argparse

from lib.arguments import path_arg
from lib.evaluation import benchmarks, perturbations
from lib.evaluation.extras import Extras


def add_record(parser: argparse.ArgumentParser) -> None:
    """Where the figures are kept."""
    parser.add_argument(
        "--json", metavar="F", help="keep the figures in this .json, for scripts/results_table.py"
    )


def add_extras(parser: argparse.ArgumentParser, models: bool) -> None:
    """What may be told beside the protocols; ``models``: there are models to score changed captions
    and pictures with."""
    parser.add_argument(
        "--ci",
        type=float,
        metavar="LEVEL",
        help="tell bootstrap intervals of this level too, as in 95",
    )
    parser.add_argument(
        "--benchmarks",
        metavar="NAMES",
        help="on coco's testall, tell these too: eccv (ECCV Caption), cxc, pmrp, as in eccv,cxc",
    )
    parser.add_argument(
        "--benchmark_files",
        metavar="FOLDER",
        type=path_arg,
        help="sis_test.csv and sts_test.csv of CxC, for pictures among pictures and captions among "
        "captions; pm_*.json of PMRP",
    )
    parser.add_argument(
        "--caption_ids",
        metavar="FILE",
        type=path_arg,
        help="COCO's ids of the split's captions, in their order; default: "
        "<split>_sentids.txt, where the dataset is read and has it, else the order of the ids",
    )
    if models:
        parser.add_argument(
            "--perturb",
            metavar="NAMES",
            help="score again with one word of each caption swapped (words), or, for a model that "
            "reads pictures, with blurred (blur) or dimmed (dim) ones, as in words,blur",
        )


def extras_of(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Extras:
    """What was asked for. Leaves with the usage where a value makes no sense."""
    if args.ci is not None and not 50 <= args.ci < 100:
        parser.error(f"--ci is {args.ci:g}, expected a percentage from 50 to below 100, as in 95")
    lists = {}
    for name, known in (("benchmarks", benchmarks.NAMES), ("perturb", perturbations.TITLES)):
        given = getattr(args, name, None)
        words = [] if given is None else [word.strip() for word in given.split(",")]
        if unknown := [word for word in words if word not in known]:
            parser.error(f"--{name} is {given!r}: {unknown[0]!r} is not one of {', '.join(known)}")
        lists[name] = list(dict.fromkeys(words))
    for name in ("benchmark_files", "caption_ids"):
        if getattr(args, name) is not None and not lists["benchmarks"]:
            parser.error(f"--{name} is for --benchmarks")
    return Extras(
        args.ci, lists["benchmarks"], args.caption_ids, args.benchmark_files, lists["perturb"]
    )
