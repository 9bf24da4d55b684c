"""A folder of embeddings in shards, mapped and not loaded.

``manifest.json`` says what they are of, ``ids.txt`` the images in their order; a shard is
``<first>-<last>.images.npy``, (s, D), and ``.captions.npy``, (5s, D), of consecutive images; a
gallery that is only searched has no captions. A gallery of ten million vectors of 1,024 values
takes 20 GB on the disk, and what is read of it in memory."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from lib.data.captions import CAPTIONS_PER_IMAGE
from lib.data.memmap import read_header
from lib.errors import InputError, first_line
from lib.evaluation.mapped_rows import Ids, Rows
from lib.evaluation.records import ORIGIN, Origin
from lib.files import file_sha256, read_json

MANIFEST, UNFINISHED, IDS = "manifest.json", "unfinished.json", "ids.txt"
KIND = "image-sentence embeddings 1"
SIDES = ("images", "captions")


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
            names = [shard_name(int(s["first"]), int(s["count"])) for s in self.shards]
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
                try:
                    header = read_header(path)
                except InputError as error:
                    raise InputError(f"{error}; remove {folder}, and evaluate again") from error
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
            path = self.path / f"{shard_name(shard['first'], shard['count'])}.{side}.npy"
            if shard[side] is not None and file_sha256(path) != shard[side]:
                advice = f"remove {self.path}, and evaluate again"
                return f"{path}: differs from its checksum in {MANIFEST}; {advice}"
        return None

    def require_undamaged(self) -> "EmbeddingShards":
        """Itself, once all contents are compared, which reads them. Raises InputError."""
        for number in range(len(self.shards)):
            if problem := self.damaged(number):
                raise InputError(problem)
        return self


def shard_name(first: int, count: int) -> str:
    """What the names of a shard's files begin with."""
    return f"{first:010}-{first + count - 1:010}"


def checksum_of(ids_sha256: str, shards: list[dict[str, Any]]) -> str:
    """One checksum of ids and of all shards' files, in hexadecimal."""
    lines = [ids_sha256, *(" ".join(str(s[k]) for k in ("first", "count", *SIDES)) for s in shards)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
