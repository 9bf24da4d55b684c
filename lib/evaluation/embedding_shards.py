"""A folder of embeddings in shards: written by any number of processes, mapped and not loaded.

``manifest.json`` says what they are of, ``ids.txt`` the images in their order; a shard is
``<first>-<last>.images.npy``, (s, D), and ``.captions.npy``, (5s, D), of consecutive images; a
gallery that is only searched has no captions. Until
all shards are there the manifest is ``unfinished.json``, and each finished shard has a
``<first>-<last>.json`` with its checksums. A gallery of ten million vectors of 1,024 values takes
20 GB on the disk, and what is read of it in memory."""

import errno
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from lib.data.captions import CAPTIONS_PER_IMAGE, require_usable_ids
from lib.data.memmap import read_header
from lib.errors import InputError, first_line
from lib.evaluation.records import ORIGIN, Evaluated, Origin, require_same_evaluation
from lib.files import atomic_write, file_sha256, read_json, remove_stale, text_sha256
from lib.outputs import exclusive
from lib.share import shards_of

MANIFEST, UNFINISHED, IDS = "manifest.json", "unfinished.json", "ids.txt"
KIND = "image-sentence embeddings 1"
SHARD = 32_768  # most images of a shard: 67 MB of float16 vectors of 1,024 values
OPEN = 700  # files that are mapped at once, each of which keeps a file descriptor
SIDES = ("images", "captions")


class Rows:
    """(n, D) vectors in files of consecutive rows, each mapped when it is needed."""

    def __init__(self, paths: list[Path], starts: np.ndarray, width: int, dtype: np.dtype):
        """``starts`` is (files + 1,): where each file's rows begin, and where the last one ends."""
        self.paths, self.starts, self.dtype = paths, starts, dtype
        self.shape = (int(starts[-1]), width)
        self._maps: OrderedDict[int, np.ndarray] = OrderedDict()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Consecutive rows, by a slice of step 1: a view of a file, or a copy out of several."""
        start, stop, _ = rows.indices(len(self))
        parts = []
        file = int(np.searchsorted(self.starts, start, "right")) - 1
        while start < stop:
            first, end = int(self.starts[file]), min(int(self.starts[file + 1]), stop)
            parts.append(self._map(file)[start - first : end - first])
            start, file = end, file + 1
        if not parts:
            return np.empty((0, self.shape[1]), self.dtype)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """(k,) int64 -> these rows, (k, D), in their order."""
        found = np.empty((len(numbers), self.shape[1]), self.dtype)
        files = np.searchsorted(self.starts, numbers, "right") - 1
        for file in np.unique(files).tolist():
            chosen = files == file
            found[chosen] = self._map(file)[numbers[chosen] - self.starts[file]]
        return found

    def blocks(self, rows: int) -> Iterator[tuple[int, np.ndarray]]:
        """All rows in their order, ``rows`` at a time, and where each block begins."""
        for start in range(0, len(self), rows):
            yield start, self[start : start + rows]

    def _map(self, file: int) -> np.ndarray:
        found = self._maps.get(file)
        if found is None:
            while len(self._maps) >= OPEN:
                self._maps.popitem(last=False)
            try:
                found = self._mapped(file)
            except OSError as error:  # this machine allows fewer
                if error.errno != errno.EMFILE or not self._maps:
                    raise
                self._maps.clear()
                found = self._mapped(file)
        self._maps[file] = found
        self._maps.move_to_end(file)
        return found

    def _mapped(self, file: int) -> np.ndarray:
        # "c" and not "r": torch takes arrays that can be written, and nothing here writes them.
        return np.load(self.paths[file], mmap_mode="c", allow_pickle=False)


class Ids:
    """Image ids of a file, one a line, as few bytes as they are."""

    def __init__(self, path: Path):
        self._bytes = path.read_bytes()
        ends = np.flatnonzero(np.frombuffer(self._bytes, np.uint8) == ord("\n"))
        self._starts = np.concatenate(([0], ends + 1))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> str:
        start, end = self._starts[number : number + 2]
        return self._bytes[start : end - 1].decode()

    def sha256(self) -> str:
        """The file's checksum."""
        return hashlib.sha256(self._bytes).hexdigest()


def is_shards(path: Path) -> bool:
    """Whether a folder holds embeddings in shards, finished or not."""
    return (path / MANIFEST).is_file() or (path / UNFINISHED).is_file()


class EmbeddingShards:
    """A finished folder: ``images`` and ``captions`` are :class:`Rows`, ``captions`` None in a
    gallery without any."""

    def __init__(self, folder: Path):
        """Open a folder. Raises InputError: it is not finished, or not whole by the sizes of its
        files; :meth:`damaged` compares their contents."""
        self.path = folder
        manifest = folder / MANIFEST
        if not manifest.is_file():
            if (folder / UNFINISHED).is_file():
                raise InputError(
                    f"{folder}: its shards are not all there; eval.py --save_embeddings {folder} "
                    "makes what is missing"
                )
            raise InputError(
                f"{folder}: is no folder of embeddings, it holds no {MANIFEST}; eval.py "
                "--save_embeddings FOLDER makes one"
            )
        found = read_json(manifest, "manifest of embeddings")
        try:
            if found["kind"] != KIND:
                raise ValueError(f"its kind is {found['kind']!r}")
            self.checksum, self.key = str(found["checksum"]), found["key"]
            self.dataset, self.split = str(found["dataset"]), str(found["split"])
            self.origin: Origin = ORIGIN.validate_python(found["origin"])
            self.shards: list[dict[str, Any]] = found["shards"]
            counts = [int(shard["count"]) for shard in self.shards]
            names = [_name(int(s["first"]), int(s["count"])) for s in self.shards]
            width, dtype = int(found["width"]), np.dtype(found["dtype"])
            if checksum_of(found["ids_sha256"], self.shards) != self.checksum or not counts:
                raise ValueError("its checksum is not that of its shards")
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            raise InputError(
                f"{manifest}: is damaged, or of another version ({first_line(error)}); remove "
                f"{folder}, and evaluate again"
            ) from error
        starts = np.concatenate(([0], np.cumsum(counts)))
        sides: dict[str, Rows] = {}
        for side, each in zip(SIDES, (1, CAPTIONS_PER_IMAGE), strict=True):
            if all(shard.get(side) is None for shard in self.shards):
                continue
            paths = [folder / f"{name}.{side}.npy" for name in names]
            for path, count in zip(paths, counts, strict=True):
                header = read_header(path)
                if header.shape != (each * count, width) or header.dtype != dtype:
                    raise InputError(
                        f"{path}: holds {header.dtype} of shape {header.shape}, expected {dtype} "
                        f"of shape ({each * count}, {width}); remove {folder}, and evaluate again"
                    )
            sides[side] = Rows(paths, each * starts, width, dtype)
        self.images, self.captions = sides["images"], sides.get("captions")
        try:
            self.ids = Ids(folder / IDS)
        except OSError as error:
            raise InputError(f"{folder / IDS}: cannot be read ({first_line(error)})") from error
        if self.ids.sha256() != found["ids_sha256"] or len(self.ids) != len(self.images):
            raise InputError(f"{folder / IDS}: is not the one that was written; evaluate again")

    @property
    def image_ids(self) -> list[str]:
        """All ids, in the order of ``images``."""
        return [self.ids[number] for number in range(len(self.ids))]

    def damaged(self, number: int) -> str | None:
        """What is wrong with a shard's contents, which are read for it; None: nothing."""
        shard = self.shards[number]
        for side in SIDES:
            path = self.path / f"{_name(shard['first'], shard['count'])}.{side}.npy"
            if shard[side] is not None and file_sha256(path) != shard[side]:
                return f"{path}: differs from its checksum in {MANIFEST}; evaluate again"
        return None


def _name(first: int, count: int) -> str:
    return f"{first:010}-{first + count - 1:010}"


def checksum_of(ids_sha256: str, shards: list[dict[str, Any]]) -> str:
    """One checksum of ids and of all shards' files, in hexadecimal."""
    lines = [ids_sha256, *(" ".join(str(s[k]) for k in ("first", "count", *SIDES)) for s in shards)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class ShardWriter:
    """A folder that is being written, by this process and perhaps others."""

    def __init__(
        self, folder: Path, image_ids: list[str], about: tuple[str, str, Origin],
        key: dict[str, Any], dtype: str, batch_size: int,
    ):  # fmt: skip
        """Join those that write the same, or begin. ``about`` is dataset, split and origin, ``key``
        plain data that says what vectors depend on: an unfinished folder of another key, of the
        same evaluation, is begun again. Raises InputError: finished embeddings of another key, or
        something else, is in the folder, or it cannot be written."""
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
        # In the names of the shards' records: those that a process of another key still writes are
        # none of this one's.
        self._digest = text_sha256([json.dumps(self.about["key"], sort_keys=True)])[:12]
        with exclusive(folder, "embeddings", wait=True):
            require_replaceable_folder(wanted, lambda: origin, folder)
            found = _about(folder)
            same = found is not None and found.get("key") == self.about["key"]
            self.was_finished = same and (folder / MANIFEST).is_file()
            if not same:
                _require_unfinished(folder, found, self.about["key"])
                # A kill in between leaves a folder of ours, to begin with again.
                _write(folder / UNFINISHED, self.about)
                _clear(folder)
            if not (folder / IDS).is_file():
                text = "".join(f"{image_id}\n" for image_id in image_ids)
                with atomic_write(folder / IDS) as temporary:
                    temporary.write_text(text, encoding="utf-8", newline="\n")

    def is_done(self, shard: range) -> bool:
        """Whether a shard is there, by whichever process."""
        return (self.folder / MANIFEST).is_file() or self._record(shard).is_file()

    def _record(self, shard: range) -> Path:
        return self.folder / f"{_name(shard.start, len(shard))}.{self._digest}.json"

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
            path = self.folder / f"{_name(shard.start, len(shard))}.{side}.npy"
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


def _clear(folder: Path) -> None:
    """Remove an unfinished folder's ids, shards and records."""
    (folder / IDS).unlink(missing_ok=True)
    for pattern in ("*.json", *(f"*.{side}.npy" for side in SIDES)):
        for path in folder.glob(f"{'[0-9]' * 10}-{pattern}"):
            path.unlink(missing_ok=True)


def _require_unfinished(folder: Path, found: dict[str, Any] | None, key: dict[str, Any]) -> None:
    """Refuse to begin where finished embeddings are. Raises InputError: in what they differ."""
    if found is None or not (folder / MANIFEST).is_file():
        return
    theirs = found.get("key")
    theirs = theirs if isinstance(theirs, dict) else {}
    differing = [name for name in key if theirs.get(name) != key[name]]
    raise InputError(
        f"{folder}: holds finished embeddings of other {', '.join(differing)}; remove the folder, "
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
    require_same_evaluation(folder, theirs, wanted, origin())
