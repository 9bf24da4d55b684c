"""Scores models on a dataset that none of them was trained on, each alone and their mean.

python eval_cross_ensemble.py --checkpoints runs/coco_region runs/coco_grid --dataset f30k"""

import sys
from functools import partial

from lib.arguments import new_parser
from lib.checkpoint import source_of
from lib.distributed import process_group, rank
from lib.errors import exit_on_error
from lib.evaluation.arguments import CHECKPOINT_HELP, add_arguments, target_of
from lib.evaluation.cross_dataset import Evaluate, check_members, score_members
from lib.evaluation.extra_arguments import add_extras, add_record, extras_of
from lib.evaluation.opened import FeatureChoice, Target, benchmarks_of
from lib.evaluation.products import MeanScores
from lib.evaluation.records import Member, Record, require_members, write_record
from lib.evaluation.report import format_ensemble, format_table, transfer
from lib.outputs import check_outputs, require_different


def main(words: list[str] | None = None) -> None:
    """Score each checkpoint, then the mean of their matrices, all with equal weight."""
    parser = new_parser(__doc__)
    parser.add_argument("--checkpoints", nargs="+", required=True, help=f"each {CHECKPOINT_HELP}")
    add_arguments(parser, per_checkpoint=True)
    add_extras(parser, models=False)
    add_record(parser)
    args = parser.parse_args(words)
    for name in ("features", "features_folder"):
        given = getattr(args, name) or [None] * len(args.checkpoints)
        if len(given) != len(args.checkpoints):
            parser.error(
                f"--{name} takes one value per checkpoint: "
                f"{len(args.checkpoints)}, not {len(given)}"
            )
        setattr(args, name, given)
    choices = [
        FeatureChoice(kind, folder, args.grid_size, args.images)
        for kind, folder in zip(args.features, args.features_folder, strict=True)
    ]
    extras = extras_of(parser, args)
    with exit_on_error():
        paths = [source_of(word) for word in args.checkpoints]
        target = target_of(parser, args, paths[0])
        require_different(paths)
        weights, about = [1 / len(paths)] * len(paths), (target.dataset, target.split)
        named = {"dataset": target.dataset, "split": target.split}
        check_outputs([(args.json, partial(require_members, paths, weights, about))], paths)
        targets, choices = check_members(paths, choices, target)
        with process_group(target.device):
            others = benchmarks_of(extras, target)
            evaluate = partial(extras.evaluate, benchmarks=others, **named)
            members, mean = score_members(paths, targets, choices, evaluate)
            if rank() == 0:
                for note in others.left_out(None) if others is not None else ():
                    print(f"note: {note}", file=sys.stderr)
                report(members, mean, target, evaluate, args.json)


def report(
    members: list[Member], mean: MeanScores, target: Target, evaluate: Evaluate, json: str | None
) -> None:
    """Print, and save the record at ``json``."""
    dataset, split = target.dataset, target.split
    print(f"{len(members)} models on {dataset}, {len(mean):,} images")
    if len(members) == 1:
        only = members[0]
        results = only.results
        print(transfer([only.origin], dataset))
        print(format_table(only.origin, dataset, split, results))
    else:
        results = evaluate(mean)
        print(format_ensemble(members, dataset, split, results))
    if json is not None:
        write_record(json, Record(dataset, split, members, results))


if __name__ == "__main__":
    main()
