"""Score models on a dataset that none of them was trained on, each alone and their mean:
python eval_cross_ensemble.py --checkpoints A.pth B.pth --data_path data --dataset f30k"""

import argparse
from pathlib import Path

import numpy as np

from lib.checkpoint import load_checkpoint
from lib.errors import InputError, reported
from lib.evaluation.ensemble import Member
from lib.evaluation.protocols import evaluate
from lib.evaluation.record import ensemble_record, single_record, write_record
from lib.evaluation.report import format_ensemble, format_table, transfer
from lib.files import check_writable
from lib.processes import joined, rank
from lib.scoring import add_arguments, check_arguments, score_checkpoint


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line, or ``words`` instead of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", nargs="+", required=True, help="one or more")
    add_arguments(parser, each=True)
    parser.add_argument("--json", metavar="F", help="the table's figures as JSON")
    args = parser.parse_args(words)
    check_arguments(parser, args)
    count = len(args.checkpoints)
    if len({Path(path).resolve() for path in args.checkpoints}) < count:
        parser.error("a checkpoint is named twice")
    for name in ("features", "features_folder"):
        given = getattr(args, name) or [None] * count
        if len(given) != count:
            parser.error(f"--{name} wants one value per checkpoint: {count}, not {len(given)}")
        setattr(args, name, given)
    return args


def check_members(args: argparse.Namespace) -> None:
    """Refuse a model that was trained on the target, whose row would not be a cross-dataset one."""
    kinds = []
    for path, kind in zip(args.checkpoints, args.features, strict=True):
        checkpoint = load_checkpoint(path)
        kinds.append(kind or checkpoint.config.features.type)
        if checkpoint.source == args.dataset:
            raise InputError(
                f"{path}: was trained on {args.dataset} itself; its scores there are eval.py's and "
                "eval_ensemble.py's to give"
            )
    if args.grid_size is not None and "grid" not in kinds:
        raise InputError("--grid_size is for grid features; none of these checkpoints gets any")


def run(args: argparse.Namespace) -> None:
    """Score each checkpoint, then the mean of their matrices, all with equal say."""
    if args.json:
        check_writable(args.json)
    check_members(args)
    with joined(args.device):
        members, mean = score_members(args)
        if rank() == 0:
            report(args, members, mean)


def score_members(args: argparse.Namespace) -> tuple[list[Member], np.ndarray]:
    """Each checkpoint's results, and the mean matrix, (n, 5n) float32."""
    members, mean = [], np.float32(0)
    weight = 1 / len(args.checkpoints)  # nothing is tuned on the target, weights neither
    for path, kind, folder in zip(
        args.checkpoints, args.features, args.features_folder, strict=True
    ):
        scored = score_checkpoint(path, args, kind, folder)
        mean = mean + np.float32(weight) * scored.scores
        results = evaluate(scored.scores, args.dataset, args.split)
        members.append(Member(path, scored.origin, weight, results))
    return members, mean


def report(args: argparse.Namespace, members: list[Member], mean: np.ndarray) -> None:
    """Print, and save what the arguments ask for."""
    print(f"{len(members)} models on {args.dataset}, {len(mean):,} images")
    target = (args.dataset, args.split)
    if len(members) == 1:
        only = members[0]
        print(transfer([only.origin], args.dataset))
        print(format_table(only.origin, *target, only.results))
        record = single_record(only.origin, *target, only.results)
    else:
        results = evaluate(mean, *target)
        print(format_ensemble(members, *target, results))
        record = ensemble_record(members, *target, results)
    if args.json:
        write_record(args.json, record)


if __name__ == "__main__":
    with reported():
        run(parse())
