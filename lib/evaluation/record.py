"""Results as JSON, one file per evaluation: what scripts/results_table.py makes its tables from."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import InputError, first_line
from lib.evaluation.ensemble import Member
from lib.evaluation.protocols import ProtocolResult
from lib.evaluation.results import Origin
from lib.files import replacing

FORMAT = "3SHNet results"


def single_record(
    origin: Origin, dataset: str, split: str, results: list[ProtocolResult]
) -> dict[str, Any]:
    """A single model's results as plain data."""
    return {
        "format": FORMAT,
        "models": "single",
        "dataset": dataset,
        "split": split,
        **asdict(origin),
        "results": _plain(results),
    }


def ensemble_record(
    members: Sequence[Member], dataset: str, split: str, results: list[ProtocolResult]
) -> dict[str, Any]:
    """An ensemble's results, its members' and its gain over the best of them as plain data."""
    own = [[r.metrics.rsum for r in member.results] for member in members]
    return {
        "format": FORMAT,
        "models": "ensemble",
        "dataset": dataset,
        "split": split,
        "members": [
            {
                "name": m.name,
                "weight": m.weight,
                **single_record(m.origin, dataset, split, m.results),
            }
            for m in members
        ],
        "results": [
            plain | {"rsum_gain": result.metrics.rsum - max(sums)}
            for plain, result, sums in zip(
                _plain(results), results, zip(*own, strict=True), strict=True
            )
        ],
    }


def write_record(path: str | Path, record: dict[str, Any]) -> None:
    """Write a record; raises :class:`InputError` where the file cannot be written."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def check_replaceable(
    results: str | None, record: str | None, wanted: tuple[str, str, str]
) -> None:
    """Refuse to replace saved results of another evaluation.

    Args:
        results: an ``.npz`` file that may be there, or None.
        record: a JSON file that may be there, or None.
        wanted: checkpoint, dataset and split of the results to come.

    Raises:
        InputError: either file is of another checkpoint, dataset or split.
    """
    for path in (Path(name) for name in (results, record) if name is not None):
        if not path.is_file():
            continue
        found = None
        with suppress(Exception):  # what holds no results, or damaged ones, may go
            if str(path) == record:
                known = read_record(path) or {}
                found = tuple(known[key] for key in ("checkpoint", "dataset", "split"))
            else:
                with np.load(path, allow_pickle=False) as saved:
                    found = tuple(str(saved[key]) for key in ("checkpoint", "dataset", "split"))
        if found not in (None, wanted):
            raise InputError(
                f"{path}: holds results of {found[0]} on {found[1]} {found[2]}; choose another "
                "place for these (OUT=FOLDER for scripts/eval_*.sh), or remove them"
            )


def read_record(path: Path) -> dict[str, Any] | None:
    """A record, or None for a JSON file of something else.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is no readable JSON file ({first_line(error)})") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        return None
    try:
        for run in (record, *record.get("members", ())):
            _require_figures(run)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: is damaged ({first_line(error)}); evaluate again") from error
    return record


def _require_figures(run: dict[str, Any]) -> None:
    """Raise KeyError, TypeError, ValueError or AttributeError where a table could not be made."""
    str(run["dataset"] + run["split"] + run["models"])
    for result in run["results"]:
        str(result["protocol"]) + f"{result['images']:d}"
        sum((result["rsum"], *(result[s][k] for s in ("i2t", "t2i") for k in ("r1", "r5", "r10"))))
    for section in (run.get("config") or {}).values():
        section.items()


def _plain(results: list[ProtocolResult]) -> list[dict[str, Any]]:
    return [
        {
            "protocol": result.name,
            "images": result.images,
            "rsum": result.metrics.rsum,
            **asdict(result.metrics),
            "folds": [{"rsum": fold.rsum, **asdict(fold)} for fold in result.folds],
        }
        for result in results
    ]
