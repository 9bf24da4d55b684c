"""Writes a folder of embeddings, by any number of processes at once.

Until all shards are there the folder's manifest is ``unfinished.json``, and each finished shard has
a record with its checksums, ``<first>-<last>.json``."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from lib.data.captions import require_usable_ids
from lib.errors import InputError
from lib.evaluation.embedding_shards import (
    IDS,
    KIND,
    MANIFEST,
    SIDES,
    UNFINISHED,
    EmbeddingShards,
    checksum_of,
    is_shards,
    shard_name,
)
from lib.evaluation.records import ORIGIN, Evaluated, Origin, require_same_evaluation
from lib.files import atomic_write, file_sha256, read_json, remove_stale
from lib.outputs import exclusive
from lib.share import shards_of

SHARD = 32_768  # most images of a shard: 67 MB of float16 vectors of 1,024 values


class ShardWriter:
    """A folder that is being written, by this process and perhaps others."""

    def __init__(
        self, folder: Path, image_ids: list[str], about: tuple[str, str, Origin],
        key: dict[str, Any], dtype: str, batch_size: int,
    ):  # fmt: skip
        """Join those that write the same, or begin. ``about`` is dataset, split and origin, ``key``
        plain data that says what vectors depend on. Raises InputError: embeddings of another key,
        finished or not, or something else, is in the folder, or it cannot be written."""
        require_usable_ids(folder, image_ids)
        _require_no_file(folder)
        remove_stale(folder)
        self.folder, self.dtype, self.count = folder, np.dtype(dtype), len(image_ids)
        self.shards = shards_of(len(image_ids), batch_size, SHARD)
        dataset, split, origin = about
        self.about: dict[str, Any] = {"kind": KIND, "dataset": dataset, "split": split}
        self.about |= {"origin": ORIGIN.dump_python(origin), "dtype": dtype}
        self.about["key"] = json.loads(json.dumps(key))
        wanted = (origin.checkpoint, dataset, split)
        self.about["key"]["dtype"] = dtype
        with exclusive(folder, "embeddings", wait=True):
            require_replaceable_folder(wanted, lambda: origin, folder)
            found = _about(folder)
            same = found is not None and found.get("key") == self.about["key"]
            self.was_finished = same and (folder / MANIFEST).is_file()
            if not same:
                _require_no_other(folder, found, self.about["key"])
                _write(folder / UNFINISHED, self.about)
            if not (folder / IDS).is_file():
                text = "".join(f"{image_id}\n" for image_id in image_ids)
                with atomic_write(folder / IDS) as temporary:
                    temporary.write_text(text, encoding="utf-8", newline="\n")

    def is_done(self, shard: range) -> bool:
        """Whether a shard is there, by whichever process."""
        return (self.folder / MANIFEST).is_file() or self._record(shard).is_file()

    def _record(self, shard: range) -> Path:
        return self.folder / f"{shard_name(shard.start, len(shard))}.json"

    def write(self, shard: range, images: np.ndarray, captions: np.ndarray | None) -> None:
        """Write a shard's vectors, (s, D) and (5s, D) or none. Raises InputError: NaN or infinite
        ones, or no room on the disk."""
        sums: dict[str, Any] = {"first": shard.start, "count": len(shard)}
        for side, rows in zip(SIDES, (images, captions), strict=True):
            if rows is None:
                sums[side] = None
                continue
            with np.errstate(over="ignore"):  # what is too large for the type is refused below
                rows = np.ascontiguousarray(rows, self.dtype)
            path = self.folder / f"{shard_name(shard.start, len(shard))}.{side}.npy"
            if not np.isfinite(rows).all():
                raise InputError(
                    f"{path}: {side} are NaN or infinite as {self.dtype}; the model is broken"
                )
            with atomic_write(path) as temporary:
                np.save(temporary, rows, allow_pickle=False)
                sums[side] = file_sha256(temporary)
        sums["width"] = int(images.shape[1])
        _write(self._record(shard), sums)

    def merge(self) -> EmbeddingShards | None:
        """The finished folder, once every shard is there and is what was written; None: others are
        still at work, or have just merged it. Raises InputError: a shard is damaged, which is
        removed."""
        with exclusive(self.folder, "embeddings", wait=True):
            if (self.folder / MANIFEST).is_file():
                return None
            records = [self._record(shard) for shard in self.shards]
            if not all(path.is_file() for path in records):
                return None
            shards = []
            for path in records:
                found = read_json(path, "shard's record")
                for side in SIDES:
                    array = path.with_name(f"{path.name.split('.')[0]}.{side}.npy")
                    if found[side] is None:
                        continue
                    if not array.is_file() or file_sha256(array) != found[side]:
                        path.unlink()
                        raise InputError(
                            f"{array}: differs from its checksum, and its shard will be made anew; "
                            "run the command again"
                        )
                shards.append(found)
            ids_sha256 = file_sha256(self.folder / IDS)
            about = self.about | {"width": shards[0].pop("width"), "ids_sha256": ids_sha256}
            for shard in shards[1:]:
                shard.pop("width")
            about |= {"shards": shards, "checksum": checksum_of(ids_sha256, shards)}
            _write(self.folder / MANIFEST, about)
            for path in (self.folder / UNFINISHED, *records):
                path.unlink(missing_ok=True)
        return EmbeddingShards(self.folder)


def _about(folder: Path) -> dict[str, Any] | None:
    """What a folder's embeddings are of; None where there are none, or nothing readable."""
    for name in (MANIFEST, UNFINISHED):
        if (folder / name).is_file():
            with suppress(InputError):
                found = read_json(folder / name, "manifest of embeddings")
                if isinstance(found, dict) and found.get("kind") == KIND:
                    return found
    return None


def _require_no_other(folder: Path, found: dict[str, Any] | None, key: dict[str, Any]) -> None:
    """Refuse to begin where embeddings of another key are. Raises InputError: in what they
    differ."""
    if found is None:
        return
    theirs = found.get("key")
    theirs = theirs if isinstance(theirs, dict) else {}
    differing = [name for name in key if theirs.get(name) != key[name]]
    state = "finished" if (folder / MANIFEST).is_file() else "unfinished"
    raise InputError(
        f"{folder}: holds {state} embeddings of another {', '.join(differing)}; remove the folder, "
        "or choose another"
    )


def _write(path: Path, values: dict[str, Any]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _require_no_file(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, expected a folder for embeddings in shards")


def require_replaceable_folder(
    wanted: Evaluated, origin: Callable[[], Origin], folder: Path
) -> None:
    """The rule for a folder of embeddings: one that is empty or not there, or embeddings of the
    same evaluation; ``origin`` tells what is about to be encoded. Raises InputError."""
    _require_no_file(folder)
    if not folder.exists():
        return
    if not any(not path.name.startswith(".") for path in folder.iterdir()):
        return
    found = _about(folder)
    theirs = None
    with suppress(KeyError, TypeError, ValidationError):
        if found is not None:
            theirs = ORIGIN.validate_python(found["origin"]), found["dataset"], found["split"]
    if theirs is None and (found or (is_shards(folder) and (folder / IDS).is_file())):
        raise InputError(
            f"{folder}: its manifest is damaged, or of another version; choose another folder, or "
            "remove this one"
        )
    require_same_evaluation(folder, theirs, wanted, origin())
