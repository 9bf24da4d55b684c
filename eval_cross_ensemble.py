"""Scores models on a dataset that none of them was trained on, each alone and their mean.

python eval_cross_ensemble.py --checkpoints runs/coco_region runs/coco_grid --dataset f30k"""

from dataclasses import replace
from functools import partial

import numpy as np

from lib.arguments import new_parser
from lib.checkpoint import load_checkpoint, source_of
from lib.distributed import process_group, rank
from lib.errors import InputError, exit_on_error
from lib.evaluation.arguments import CHECKPOINT_HELP, add_arguments, target_of
from lib.evaluation.evaluator import score_checkpoint
from lib.evaluation.opened import FeatureChoice, Target
from lib.evaluation.protocols import evaluate
from lib.evaluation.records import Member, Record, require_members, write_record
from lib.evaluation.report import format_ensemble, format_table, transfer
from lib.outputs import check_outputs, require_different


def main(words: list[str] | None = None) -> None:
    """Score each checkpoint, then the mean of their matrices, all with equal weight."""
    parser = new_parser(__doc__)
    parser.add_argument("--checkpoints", nargs="+", required=True, help=f"each {CHECKPOINT_HELP}")
    add_arguments(parser, per_checkpoint=True)
    parser.add_argument(
        "--json", metavar="F", help="keep the figures in this .json, for scripts/results_table.py"
    )
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
    with exit_on_error():
        paths = [source_of(word) for word in args.checkpoints]
        target = target_of(parser, args, paths[0])
        require_different(paths)
        weights, about = [1 / len(paths)] * len(paths), (target.dataset, target.split)
        check_outputs([(args.json, partial(require_members, paths, weights, about))], paths)
        targets, choices = check_members(paths, choices, target)
        with process_group(target.device):
            members, mean = score_members(paths, targets, choices)
            if rank() == 0:
                report(members, mean, target, args.json)


def check_members(
    paths: list[str], choices: list[FeatureChoice], target: Target
) -> tuple[list[Target], list[FeatureChoice]]:
    """The target of each checkpoint, with the locations that apply to it, and its features, with
    the pictures if it reads them. Refuses a model that was trained on the target, whose row would
    not be a cross-dataset one, and what applies to none."""
    kinds: list[str] = []
    targets: list[Target] = []
    applied: list[FeatureChoice] = []
    for path, choice in zip(paths, choices, strict=True):
        checkpoint = load_checkpoint(path)
        reads_pictures = checkpoint.config.features.type == "images"
        applied.append(choice if reads_pictures else replace(choice, images=None))
        kinds.append(choice.apply(checkpoint.config.features).type)
        given = {k: v for k, v in target.locations.items() if k in checkpoint.locations}
        targets.append(replace(target, locations=given))
        if checkpoint.source == target.dataset:
            raise InputError(
                f"{path}: was trained on {target.dataset} itself; score it there with eval.py and "
                "eval_ensemble.py"
            )
    if unused := target.locations.keys() - {name for one in targets for name in one.locations}:
        raise InputError(f"--{min(unused)} does not apply to any of these checkpoints")
    if choices[0].grid_size is not None and "grid" not in kinds:
        raise InputError("--grid_size is for grid features; none of these checkpoints gets any")
    if choices[0].images is not None and "images" not in kinds:
        raise InputError("--images is for models that read pictures; none of these does")
    return targets, applied


def score_members(
    paths: list[str], targets: list[Target], choices: list[FeatureChoice]
) -> tuple[list[Member], np.ndarray]:
    """Each checkpoint's results, and the mean matrix, (n, 5n) float32."""
    members, mean = [], np.zeros((), np.float32)
    weight = 1 / len(paths)  # nothing is tuned on the target, the weights included
    for path, target, choice in zip(paths, targets, choices, strict=True):
        scored = score_checkpoint(path, target, choice)
        mean = mean + np.float32(weight) * scored.scores
        results = evaluate(scored.scores, target.dataset, target.split)
        members.append(Member(path, scored.origin, weight, results))
    return members, mean


def report(members: list[Member], mean: np.ndarray, target: Target, json: str | None) -> None:
    """Print, and save the record at ``json``."""
    dataset, split = target.dataset, target.split
    print(f"{len(members)} models on {dataset}, {len(mean):,} images")
    if len(members) == 1:
        only = members[0]
        results = only.results
        print(transfer([only.origin], dataset))
        print(format_table(only.origin, dataset, split, results))
    else:
        results = evaluate(mean, dataset, split)
        print(format_ensemble(members, dataset, split, results))
    if json is not None:
        write_record(json, Record(dataset, split, members, results))


if __name__ == "__main__":
    main()
