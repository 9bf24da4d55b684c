"""Results as JSON, one file per evaluation: what scripts/results_table.py makes its tables from."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

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


def read_record(path: Path) -> dict[str, Any] | None:
    """A record, or None for a JSON file of something else.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is no readable JSON file ({first_line(error)})") from error
    return record if isinstance(record, dict) and record.get("format") == FORMAT else None


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
