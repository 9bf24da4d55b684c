"""The mean of several models' score matrices: hybrid = region + grid (3SHNet, section 4)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lib.errors import InputError
from lib.evaluation.metrics import CHUNK_ROWS
from lib.evaluation.protocols import ProtocolResult
from lib.evaluation.results import UNKNOWN, Origin
from lib.evaluation.saved import SavedScores


@dataclass(frozen=True)
class Member:
    """One model of an ensemble, with its own results."""

    name: str  # its file or checkpoint
    origin: Origin
    weight: float
    results: list[ProtocolResult]


def normalised_weights(weights: Sequence[float] | None, members: int) -> list[float]:
    """``weights`` scaled to a sum of one; None gives equal ones.

    Raises:
        InputError: another number of them, or a negative, infinite or all-zero choice.
    """
    if weights is None:
        return [1 / members] * members
    if len(weights) != members:
        raise InputError(f"--weights holds {len(weights)} numbers for {members} members")
    if not all(math.isfinite(w) and w >= 0 for w in weights) or sum(weights) <= 0:
        raise InputError(f"--weights {weights}: expected numbers from 0, not all of them 0")
    return [weight / sum(weights) for weight in weights]


def agree(
    members: Sequence[SavedScores], dataset: str | None, split: str | None
) -> tuple[str, str]:
    """The dataset and split that all members are of, once their sizes and ids agree as well.

    Args:
        members: files that may or may not say what they are of (released ones do not).
        dataset: of files that do not say; None: they take the others'.
        split: likewise.

    Raises:
        InputError: they differ, and in what; or no file and no argument says.
    """

    def one(what: str, values: list, given: str | None, show: Callable[[object], str]) -> object:
        known = [(m.path, v) for m, v in zip(members, values, strict=True) if v is not None]
        known += [(f"--{what}", given)] if given is not None else []
        for path, value in known[1:]:
            if value != known[0][1]:
                raise InputError(
                    f"results of different {what}s cannot be averaged: {known[0][0]} is "
                    f"{show(known[0][1])}, {path} is {show(value)}"
                )
        return known[0][1] if known else None

    found = {
        "dataset": one("dataset", [m.dataset for m in members], dataset, str),
        "split": one("split", [m.split for m in members], split, str),
    }
    shapes = [m.shape for m in members]
    one("size", shapes, None, lambda shape: f"{shape[0]:,} images x {shape[1]:,} captions")
    for what, value in found.items():
        if value is None:
            raise InputError(f"no file says its {what}; name it with --{what}")
    listed = [m for m in members if m.image_ids is not None]
    for other in listed[1:]:
        _require_same_ids(listed[0], other)
    return found["dataset"], found["split"]


def _require_same_ids(one: SavedScores, other: SavedScores) -> None:
    differing = [
        i for i, (a, b) in enumerate(zip(one.image_ids, other.image_ids, strict=True)) if a != b
    ]
    if not differing:
        return
    first = differing[0]
    same = sorted(one.image_ids) == sorted(other.image_ids)
    raise InputError(
        f"results of different ids cannot be averaged: {len(differing):,} of "
        f"{len(one.image_ids):,} images differ between {one.path} and {other.path}"
        f"{', the same ids in another order' if same else ''}; the first is image {first + 1}: "
        f"{one.image_ids[first]} there, {other.image_ids[first]} here"
    )


def mean_scores(members: Sequence[SavedScores], weights: Sequence[float]) -> np.ndarray:
    """The weighted mean, (n, 5n) float32; beside it no more than a chunk of one file is held."""
    mean = np.zeros(members[0].shape, np.float32)
    for member, weight in zip(members, weights, strict=True):
        for start in range(0, len(mean), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            mean[rows] += np.float32(weight) * member[rows]
    return mean


def ensemble_features(origins: Sequence[Origin]) -> str:
    """As in "region + grid", or "2 x region"; in the paper's order, each kind once.

    The two versions of CMSEI are one model, on one kind of features.
    """
    kinds = [origin.features for origin in origins]
    if _versions(origins) is not None and len(set(kinds)) == 1:
        return kinds[0]
    counted = [
        (kinds.count(kind), kind) for kind in ("region", "grid", "images", UNKNOWN) if kind in kinds
    ]
    return " + ".join(kind if count == 1 else f"{count} x {kind}" for count, kind in counted)


def ensemble_model(origins: Sequence[Origin]) -> str:
    """As in "3SHNet", "3SHNet and VSE-infinity" where the members differ, or "CMSEI" for both its
    versions."""
    if (model := _versions(origins)) is not None:
        return model
    return " and ".join(dict.fromkeys(origin.model for origin in origins))


def _versions(origins: Sequence[Origin]) -> str | None:
    """The model that I-T and T-I, one of each, are the two versions of; None if they are not."""
    versions = ("CMSEI I-T", "CMSEI T-I")
    found = sorted(origin.model[: len(versions[0])] for origin in origins)
    rest = {origin.model[len(versions[0]) :] for origin in origins}
    return "CMSEI" + rest.pop() if found == [*versions] and len(rest) == 1 else None


def is_hybrid(origins: Sequence[Origin]) -> bool:
    """Whether regions and grids are both among the members: the paper's hybrid."""
    return {"region", "grid"} <= {origin.features for origin in origins}
