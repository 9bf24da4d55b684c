"""Whether a run may be resumed with the data that is there now."""

from pathlib import Path
from typing import Any

from lib.data.provenance import mismatches
from lib.errors import InputError


def require_same_data(
    checkpoint: Path, folder: Path, then: dict[str, Any], now: dict[str, Any]
) -> None:
    """Refuse to resume ``checkpoint`` on other data in ``folder``, or features of another
    extractor; ``then`` and ``now`` are a run's ``progress``, with the fingerprints of its splits
    and what extracted their files. Raises InputError: what has changed."""
    kept = then["splits"]
    if not all(isinstance(kept.get(name), dict) for name in now["splits"]):
        raise InputError(
            f"{checkpoint}: was written by an earlier version, which kept no record of features "
            "and arrays; it can be evaluated, but not resumed"
        )
    changed = [
        f"{kind} of {name}"
        for name, found in now["splits"].items()
        for kind, value in found.items()
        if value != kept[name].get(kind)
    ]
    changed += mismatches(then["extractors"], now["extractors"])
    if changed:
        raise InputError(
            f"{checkpoint}: was trained on other data in {folder}; changed since: "
            f"{', '.join(changed)}. Pass --overwrite to train anew, or another run.out"
        )
