"""Packing: one file per image into one array per split, which loads faster.

A pack is ``<folder>/<split>.npy``, (n, rows, C), with ``<split>.json`` beside it, which says what
it was made from. A stopped packing continues when it is started again."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lib.data.checksums import KEY
from lib.data.memmap import read_header
from lib.errors import InputError, first_line
from lib.files import atomic_write, file_sha256, read_json, reserved_array
from lib.outputs import exclusive

SYNC_EVERY = 256  # images between two points from which a killed packing continues


def is_pack(array: Path) -> bool:
    """Whether a finished pack is at ``array``."""
    return array.is_file() and array.with_suffix(".json").is_file()


def progress_of(array: Path) -> Path:
    """The record of a packing that has not ended."""
    return array.with_name(f".{array.stem}.packing.json")


def require_source(array: Path, wanted: dict[str, Any], advice: str) -> None:
    """Refuse a pack whose sidecar is damaged or differs from ``wanted``; it may say
    more. Raises InputError: what differs, and ``advice``."""
    found = read_json(array.with_suffix(".json"), "pack's sidecar")
    if not isinstance(found, dict):
        raise InputError(f"{array.with_suffix('.json')}: is not a pack's sidecar")
    if keys := [key for key in wanted if found.get(key) != wanted[key]]:
        differing = "; ".join(f"{k} {found.get(k)!r} there, {wanted[k]!r} now" for k in keys)
        raise InputError(f"{array}: was packed from another source: {differing}; {advice}")


def write_pack(
    array: Path,
    sidecar: Path,
    source: dict[str, Any],
    shape: tuple[int, ...],
    dtype: str,
    entries_from: Callable[[int], Iterable[np.ndarray]],
) -> None:
    """Write an array of ``shape``, (n, ...), replaced when the new one is complete, and a JSON file
    beside it, which says from what ``source`` it was made; continue where a killed packing of the
    same source ended. ``entries_from`` gives the entries from a number on, in order. Raises
    InputError: an entry has another shape, or the folder cannot be written, or is being written
    by another process."""
    with exclusive(array.parent, f"{array.stem}.packing"):
        partial, progress = array.with_name(f".{array.stem}.packing.npy"), progress_of(array)
        wanted = json.loads(json.dumps({"source": source, "shape": shape, "dtype": dtype}))
        done = 0
        try:
            state = read_json(progress, "record of progress") if partial.is_file() else {}
            if {key: state.get(key) for key in wanted} == wanted:
                done = int(state["done"])
        except (ValueError, KeyError, AttributeError, TypeError):
            pass  # without a record of its progress a packing starts anew
        try:
            array.parent.mkdir(parents=True, exist_ok=True)
            rows = _opened(partial, shape, dtype) if 0 < done <= shape[0] else None
            if rows is None:
                progress.unlink(missing_ok=True)  # first: it is of another array than the next one
                rows, done = reserved_array(partial, shape, dtype), 0
            for number, entry in enumerate(entries_from(done), done):
                if entry.shape != shape[1:]:
                    raise InputError(
                        f"{array}: image {number + 1} has shape {entry.shape}, the others "
                        f"{shape[1:]}; only images with equally many rows can be packed "
                        "(set features.grid_size)"
                    )
                rows[number] = entry
                # The last one too: the record tells an array without a sidecar from somebody's.
                if (number + 1) % SYNC_EVERY == 0 or number + 1 == shape[0]:
                    rows.flush()
                    with atomic_write(progress) as temporary:
                        temporary.write_text(json.dumps({**wanted, "done": number + 1}))
            rows.flush()
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            source = source | {KEY: file_sha256(partial)}
            sidecar.unlink(missing_ok=True)  # without it nobody takes the old array for the new
            partial.replace(array)
            with atomic_write(sidecar) as temporary:
                temporary.write_text(json.dumps(source, indent=1) + "\n", encoding="utf-8")
            progress.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"{array}: cannot be written ({first_line(error)})") from error


def _opened(partial: Path, shape: tuple[int, ...], dtype: str) -> np.memmap | None:
    """A killed packing's array, or None where it is none of this shape."""
    try:
        header = read_header(partial)
    except InputError:  # cut short, which a map that may be written to would fill up with zeros
        return None
    if (header.shape, header.dtype) != (shape, np.dtype(dtype)):
        return None
    return np.lib.format.open_memmap(partial, "r+")
