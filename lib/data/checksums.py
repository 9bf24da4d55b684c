"""Checksums of features: written with them, compared by scripts/check_data.py.

An array's stands in the JSON file beside it; those of one file per image in ``<split>.sha256``,
which ``sha256sum --check`` reads too."""

import os
from collections.abc import Mapping
from pathlib import Path

from lib.errors import InputError
from lib.files import atomic_write, file_sha256, read_json

KEY = "content_sha256"  # of an array's file, in the JSON file beside it


def array_problem(array: Path) -> str | None:
    """What is wrong with an array whose JSON file says its checksum; None where none says it."""
    for sidecar in (array.with_suffix(".json"), array.with_suffix(".manifest.json")):
        if sidecar.is_file():
            found = read_json(sidecar, "JSON file")
            wanted = found.get(KEY) if isinstance(found, dict) else None
            if wanted is not None and file_sha256(array) != wanted:
                return f"{array}: differs from its checksum in {sidecar.name}; make it again"
    return None


def files_problems(folder: Path, split: str) -> list[str]:
    """What is wrong with files of one image each that have a checksum."""
    return [
        f"{folder / name}: differs from its checksum in {split}.sha256; extract it again"
        for name, wanted in read_sums(folder / f"{split}.sha256").items()
        if not (folder / name).is_file() or file_sha256(folder / name) != wanted
    ]


def read_sums(path: Path) -> dict[str, str]:
    """Name -> checksum; empty where there is no such file. A line that a killed process left half
    is skipped. Raises InputError: it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    pairs = (line.split("  ", 1) for line in lines)
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2 and len(pair[0]) == 64}


def append_sum(path: Path, name: str, sha256: str) -> None:
    """Add a line; two processes may, each for files of its own. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, f"{sha256}  {name}\n".encode())
    finally:
        os.close(descriptor)


def write_sums(path: Path, sums: Mapping[str, str]) -> None:
    """Write all lines anew, in the order of ``sums``."""
    with atomic_write(path) as temporary:
        temporary.write_text("".join(f"{sha256}  {name}\n" for name, sha256 in sums.items()))
