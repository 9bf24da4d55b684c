"""The mean of several models' score matrices: hybrid = region + grid."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import InputError
from lib.evaluation.metrics import CHUNK_ROWS
from lib.evaluation.records import UNKNOWN, Origin
from lib.evaluation.scores import SavedScores


def normalised_weights(weights: Sequence[float] | None, members: int) -> list[float]:
    """``weights`` scaled to a sum of one; None gives equal ones. Raises InputError: another number
    of them, or a negative, infinite or all-zero choice."""
    if weights is None:
        return [1 / members] * members
    if len(weights) != members:
        raise InputError(f"--weights: {len(weights)} given for {members} members")
    if not (all(w >= 0 for w in weights) and 0 < sum(weights) < math.inf):
        raise InputError(f"--weights {weights}: expected numbers from 0, not all of them 0")
    return [weight / sum(weights) for weight in weights]


def agree(
    members: Sequence[Any], dataset: str | None, split: str | None, done: str = "averaged"
) -> tuple[str, str]:
    """The dataset and split that all members, saved scores or embeddings, are of, once their sizes
    and ids agree as well; the arguments are for released files, which do not say. Raises
    InputError: they differ, and in what; or no file and no argument says; ``done`` is what cannot
    be done then."""

    def one(what: str, values: list[Any], given: Any, show: Callable[[Any], str] = str) -> Any:
        known = [(str(m.path), v) for m, v in zip(members, values, strict=True) if v is not None]
        known += [(f"--{what}", given)] if given is not None else []
        for path, value in known[1:]:
            if value != known[0][1]:
                raise InputError(
                    f"results of different {what}s cannot be {done}: {known[0][0]} is "
                    f"{show(known[0][1])}, {path} is {show(value)}"
                )
        return known[0][1] if known else None

    dataset = one("dataset", [m.dataset for m in members], dataset)
    split = one("split", [m.split for m in members], split)
    sizes = [m.shape for m in members]
    one("size", sizes, None, lambda shape: f"{shape[0]:,} images x {shape[1]:,} captions")
    if dataset is None or split is None:
        lacking = "dataset" if dataset is None else "split"
        raise InputError(f"no file says its {lacking}; name it with --{lacking}")
    listed = [(m.path, m.image_ids) for m in members if m.image_ids is not None]
    for other in listed[1:]:
        _require_same_ids(*listed[0], *other, done)
    return dataset, split


def _require_same_ids(
    path: Path, ids: list[str], other_path: Path, other_ids: list[str], done: str
) -> None:
    differing = [i for i, (a, b) in enumerate(zip(ids, other_ids, strict=True)) if a != b]
    if not differing:
        return
    first = differing[0]
    same = ", the same ids in another order" if sorted(ids) == sorted(other_ids) else ""
    raise InputError(
        f"results of different ids cannot be {done}: {len(differing):,} of {len(ids):,} images "
        f"differ between {path} and {other_path}{same}; the first is image {first + 1}: "
        f"{ids[first]} there, {other_ids[first]} here"
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
    """As in "region + grid", or "2 x region"; in the paper's order, each kind once. The versions of
    one model on one kind of features are not counted."""
    kinds = [origin.features for origin in origins]
    if _whole(origins) is not None and len(set(kinds)) == 1:
        return kinds[0]
    counted = [
        (kinds.count(kind), kind) for kind in ("region", "grid", "images", UNKNOWN) if kind in kinds
    ]
    return " + ".join(kind if count == 1 else f"{count} x {kind}" for count, kind in counted)


def ensemble_model(origins: Sequence[Origin]) -> str:
    """The members' titles, each once; all versions of one model go by its name."""
    return _whole(origins) or " and ".join(dict.fromkeys(origin.model for origin in origins))


def _whole(origins: Sequence[Origin]) -> str | None:
    """The model that ``origins`` are all versions of, each once; None if they are not."""
    wholes = [origin.whole for origin in origins if origin.whole is not None]
    titles = {(whole.title, whole.parts) for whole in wholes}
    if len(wholes) < len(origins) or len(titles) != 1:
        return None
    parts = sorted(whole.part for whole in wholes)
    return wholes[0].title if parts == sorted(wholes[0].parts) else None


def is_hybrid(origins: Sequence[Origin]) -> bool:
    """Whether regions and grids are both among the members: the paper's hybrid."""
    return {"region", "grid"} <= {origin.features for origin in origins}
