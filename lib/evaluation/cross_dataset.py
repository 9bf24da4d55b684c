"""Checkpoints on a data set that none of them was trained on: who may be a member, and the mean."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from lib.checkpoint import load_checkpoint
from lib.errors import InputError
from lib.evaluation.evaluator import score_checkpoint
from lib.evaluation.opened import FeatureChoice, Target
from lib.evaluation.products import MeanScores
from lib.evaluation.records import Member, Results

Evaluate = Callable[[Any], Results]  # (n, 5n) float32, read in blocks -> its figures


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
    paths: list[str], targets: list[Target], choices: list[FeatureChoice], evaluate: Evaluate
) -> tuple[list[Member], MeanScores]:
    """Each checkpoint's results, by ``evaluate`` of its scores, and the mean of all, (n, 5n)
    float32, read in blocks."""
    members, matrices, whole = [], [], np.zeros((), np.float32)
    weight = 1 / len(paths)  # nothing is tuned on the target, the weights included
    for path, target, choice in zip(paths, targets, choices, strict=True):
        scored = score_checkpoint(path, target, choice)
        if isinstance(scored.scores, np.ndarray):  # of pairs: one sum of all such matrices is kept
            whole = whole + np.float32(weight) * scored.scores
        else:
            matrices.append(scored.scores)
        members.append(Member(path, scored.origin, weight, evaluate(scored.scores)))
    weights = [weight] * len(matrices)
    if whole.ndim:
        matrices, weights = [*matrices, whole], [*weights, 1.0]
    return members, MeanScores(matrices, weights)
