"""Builds an index of embeddings, for galleries beyond a million vectors (FAISS; an extra).

``OPQ, IVF, PQ`` (Johnson et al., "Billion-scale similarity search with GPUs"; Ge et al., "Optimized
Product Quantization"): vectors are rotated and shortened, sorted into lists by their nearest
centroid, and kept there as codes of some 64 bytes. A search reads the codes of a few lists, and
scores its best candidates again with the vectors themselves, which are mapped from the embeddings.

The index is trained once, each shard of the embeddings is added apart, by any number of processes,
and the lists of all shards are merged on the disk, from which they are mapped, not loaded."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import InputError
from lib.evaluation.embedding_shards import EmbeddingShards
from lib.evaluation.index_folder import (
    FOLDER,
    INDEX,
    KIND,
    LISTS,
    MANIFEST,
    load_faiss,
    quiet,
    read_index,
    write_index,
)  # fmt: skip
from lib.files import atomic_write, file_sha256, read_json, remove_stale
from lib.outputs import exclusive, shared
from lib.share import ALONE, Share

UNFINISHED, TRAINED = "unfinished.json", "trained.faiss"
ROTATED = 256  # values of a rotated vector
ROTATIONS = 10  # rounds in which OPQ betters its rotation; FAISS's 50 take five times as long
PER_LIST = 40  # vectors that training sees for each list; FAISS asks for 39 at least
ADDED = 65_536  # vectors rotated and coded at once
LEAST = 10_000  # vectors: codes are trained on 39 times 256, and fewer gain nothing by an index


@dataclass(frozen=True)
class Shape:
    """What an index is made of."""

    lists: int
    code: int  # bytes of a vector

    def factory(self, width: int) -> str:
        """FAISS's name of it, for vectors of ``width``; np leaves out what a search by the codes'
        bits would want, and what takes most of the training."""
        rotated = min(ROTATED, width) // self.code * self.code
        return f"OPQ{self.code}_{rotated},IVF{self.lists},PQ{self.code}np"


def default_lists(vectors: int) -> int:
    """About the square root of their number, a power of two."""
    return 2 ** max(4, round(np.log2(vectors**0.5)))


def build_index(
    shards: EmbeddingShards,
    shape: Shape,
    share: Share = ALONE,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
) -> bool:
    """Train, add this process's share of the shards, and merge, each unless it is there already;
    ``say`` gets what is done. Whether the index is finished: with several processes the last one
    merges. Raises InputError: an index of other embeddings or of another shape is there, unless
    ``overwrite``; embeddings that are damaged, or fewer than can be trained on; or processes of
    another number are at work."""
    faiss = load_faiss()
    folder, width = shards.path / FOLDER, shards.images.shape[1]
    about: dict[str, Any] = {
        "kind": KIND,
        "embeddings": shards.checksum,
        "vectors": len(shards.images),
        "factory": shape.factory(width),
    }
    if len(shards.images) < LEAST:
        raise InputError(
            f"{shards.path}: holds {len(shards.images):,} vectors, which are searched faster "
            f"without an index; one needs at least {LEAST:,}"
        )
    if len(shards.images) < shape.lists:
        raise InputError(
            f"--lists is {shape.lists:,}, expected at most the number of vectors, "
            f"{len(shards.images):,}; by default {default_lists(len(shards.images)):,}"
        )
    if shape.code > min(ROTATED, width):
        raise InputError(
            f"--code is {shape.code}, expected at most {min(ROTATED, width)} bytes for vectors of "
            f"{width} values"
        )
    if overwrite and not share.alone:
        raise InputError("--overwrite is for one process; remove the index that it replaces")
    # Before anything is removed that another launch may be writing.
    with shared(folder, "building", share):
        return _build(faiss, shards, (shape, about), share, overwrite, say)


def _build(
    faiss: Any,
    shards: EmbeddingShards,
    wanted: tuple[Shape, dict[str, Any]],
    share: Share,
    overwrite: bool,
    say: Callable[[str], None],
) -> bool:
    """What is not there yet of an index of a shape, and what its manifest says of it."""
    (shape, about), folder = wanted, shards.path / FOLDER
    with exclusive(folder, "index", wait=True):
        for name in (MANIFEST, UNFINISHED):
            if (folder / name).is_file():
                _require_same(folder / name, about, overwrite)
        if (folder / MANIFEST).is_file() and not overwrite:
            say(share.told(f"{folder}: is finished already"))
            return True
        if overwrite:
            for path in (folder / MANIFEST, *folder.glob("*.faiss"), *folder.glob("*.ivfdata")):
                path.unlink(missing_ok=True)
        remove_stale(folder)
        _write(folder / UNFINISHED, about)
        if not (folder / TRAINED).is_file():
            _train(faiss, shards, about["factory"], shape, folder / TRAINED)
            say(share.told(f"{folder}: trained {about['factory']}"))
    numbers = range(len(shards.shards))
    for number in share.of(numbers):
        path = folder / _name(number)
        if not path.is_file() and not (folder / MANIFEST).is_file():
            if problem := shards.damaged(number):
                raise InputError(problem)
            _add(faiss, shards, number, folder / TRAINED, path)
    with exclusive(folder, "index", wait=True):
        if (folder / MANIFEST).is_file():
            return True
        parts = [folder / _name(number) for number in numbers]
        if missing := sum(not part.is_file() for part in parts):
            say(share.told(f"{folder}: {missing:,} of {len(parts):,} shards are not added yet"))
            return False
        _merge(faiss, folder, parts, len(shards.images))
        files = {n: {"bytes": (folder / n).stat().st_size, "sha256": file_sha256(folder / n)}
                 for n in (INDEX, LISTS)}  # fmt: skip
        _write(folder / MANIFEST, about | {"faiss": faiss.__version__, "files": files})
        for path in (folder / UNFINISHED, folder / TRAINED, *parts):
            path.unlink(missing_ok=True)
    say(share.told(f"{folder}: {len(shards.images):,} vectors in {shape.lists:,} lists"))
    return True


def _name(number: int) -> str:
    return f"shard-{number:06}.faiss"


def _write(path: Path, values: dict[str, Any]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _require_same(path: Path, wanted: dict[str, Any], overwrite: bool) -> None:
    found = read_json(path, "manifest of an index")
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise InputError(f"{path}: is no manifest of an index; remove it, or {path.parent}")
    different = [k for k in wanted if found.get(k) != wanted[k]]
    if different and not overwrite:
        told = "; ".join(f"{k} {found.get(k)} there, {wanted[k]} now" for k in different)
        raise InputError(f"{path}: is of another index ({told}); --overwrite replaces it")


def _train(faiss: Any, shards: EmbeddingShards, factory: str, shape: Shape, path: Path) -> None:
    """Train on vectors from all over the gallery, the same for the same embeddings."""
    total = len(shards.images)
    count = min(total, max(PER_LIST * shape.lists, 256 * PER_LIST))
    sample = np.linspace(0, total - 1, count).astype(np.int64)
    vectors = shards.images.take(np.unique(sample)).astype(np.float32)
    index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    rotation = faiss.downcast_VectorTransform(index.chain.at(0))
    rotation.niter, rotation.niter_pq_0 = ROTATIONS, ROTATIONS
    index.train(vectors)
    write_index(faiss, index, path)


def _add(faiss: Any, shards: EmbeddingShards, number: int, trained: Path, path: Path) -> None:
    index = read_index(faiss, trained, 0)
    first = int(shards.images.starts[number])
    rows = shards.images[first : int(shards.images.starts[number + 1])]
    for start in range(0, len(rows), ADDED):
        block = rows[start : start + ADDED].astype(np.float32)
        numbers = np.arange(first + start, first + start + len(block), dtype=np.int64)
        index.add_with_ids(block, numbers)
    write_index(faiss, index, path)


def _merge(faiss: Any, folder: Path, parts: list[Path], total: int) -> None:
    """The lists of all shards, one after the other, in one file on the disk. Raises InputError: the
    disk has no room for it, which would end the process in the middle."""
    needed, free = sum(part.stat().st_size for part in parts), shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder}: the merged index needs {needed / 1e9:.1f} GB, the disk has {free / 1e9:.1f}"
        )
    index = read_index(faiss, folder / TRAINED, 0)
    lists = faiss.extract_index_ivf(index)
    opened, pointers = [], faiss.InvertedListsPtrVector()
    for part in parts:
        one = read_index(faiss, part, faiss.IO_FLAG_MMAP)
        opened.append(one)
        pointers.push_back(faiss.extract_index_ivf(one).invlists)
    # Written under its own name: the index keeps it. Without a manifest it is no index yet.
    (folder / LISTS).unlink(missing_ok=True)
    on_disk = faiss.OnDiskInvertedLists(lists.nlist, lists.code_size, str(folder / LISTS))
    with quiet():
        merged = on_disk.merge_from_multiple(pointers.data(), pointers.size())
    if merged != total:
        raise InputError(f"{folder}: its shards hold {merged:,} vectors, expected {total:,}")
    lists.replace_invlists(on_disk)
    lists.ntotal = index.ntotal = merged
    write_index(faiss, index, folder / INDEX)
