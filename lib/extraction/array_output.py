"""Where extracted features go: arrays of a split, packed from shards.

An extraction that was killed continues with the images that are in no file and in no shard. Several
processes, on one machine or on many that share a disk, write their own images and shards, and
whoever finds all of them there merges them."""

import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

from lib.data.pack import write_pack
from lib.data.provenance import Provenance, read_provenance
from lib.errors import InputError, first_line
from lib.extraction.file_output import Arrays, FileOutput, require_same
from lib.files import atomic_write, text_sha256
from lib.outputs import exclusive
from lib.share import ALONE, Share

Shapes = Mapping[str, tuple[tuple[int, ...], str]]  # array -> shape and dtype of one image's entry
SHARDS = "shards"  # the folder of finished ones, beside the files of single images


def _holds(path: Path, names: set[str]) -> bool:
    """Whether an image's file has these arrays; a damaged one has none. One that has just gone is
    in a shard by now."""
    try:
        with zipfile.ZipFile(path) as file:
            return {name.removesuffix(".npy") for name in file.namelist()} == names
    except FileNotFoundError:
        return True
    except (OSError, zipfile.BadZipFile):
        return False


class ArrayOutput(FileOutput):
    """``<data>/<split>_<name>.npy`` for each array, and ``<split>_<name>.manifest.json``; images'
    files, and the shards that are made of them, are in a hidden folder beside them until all are
    there."""

    suffix = ".npz"
    sums_files = False  # shards have those of their format

    def __init__(
        self,
        data: Path,
        split: str,
        image_ids: Sequence[str],
        shapes: Shapes,
        provenance: Provenance,
        overwrite: bool = False,
        share: Share = ALONE,
    ):
        """Find finished arrays in a dataset's folder, or continue a killed extraction;
        ``overwrite`` replaces finished ones, once the new ones are complete. Raises InputError:
        arrays of other settings, finished or not, are there, or nothing can be written; or several
        processes would overwrite."""
        self.split, self.image_ids, self.data, self.shapes = split, image_ids, data, shapes
        if overwrite and not share.alone:  # one that starts late would undo what others finished
            raise InputError(
                "--overwrite is for one process; remove the arrays that several shall make again"
            )
        self.finals = {name: data / f"{split}_{name}.npy" for name in shapes}
        counts, ids = {split: len(image_ids)}, {split: text_sha256(image_ids)}
        provenance = replace(provenance, counts=counts, ids=ids)
        self._wanted, self._name = provenance, f"{split}_{next(iter(shapes))}"
        folder = data / f".{self._name}.extracting"
        with exclusive(data, f"{self._name}.opening", wait=True):
            unfinished = read_provenance(folder / "manifest.json")
            self.complete = unfinished is None and not overwrite and self._are_finished(provenance)
            if self.complete:
                return
            if folder.is_dir() and (unfinished is None or (overwrite and unfinished != provenance)):
                shutil.rmtree(folder)
            # Of a version that made fewer arrays.
            for path in folder.glob("**/*.npz") if folder.is_dir() else ():
                if not path.name.startswith(".") and not _holds(path, set(shapes)):
                    path.unlink(missing_ok=True)
            super().__init__(folder, split, image_ids, provenance, share)

    def _are_finished(self, provenance: Provenance) -> bool:
        if not any(path.exists() for path in self.finals.values()):
            return False
        for path in self.finals.values():
            found = read_provenance(path.with_suffix(".manifest.json"))
            if not path.exists():
                raise InputError(f"{path}: is missing; --overwrite extracts everything anew")
            if found is None:
                raise InputError(f"{path}: exists without a manifest; --overwrite replaces it")
            require_same(path, found, provenance)
        return True

    def pending(self) -> list[int]:
        """Numbers of the images that are in no file and in no shard; none once the arrays are
        finished."""
        if not self.complete and not self.folder.is_dir():  # others have merged it meanwhile
            self.complete = self._are_finished(self._wanted)
        if self.complete:
            return []
        done = {number for numbers in self._shards() for number in numbers}
        return [number for number in super().pending() if number not in done]

    def _shards(self) -> dict[range, Path]:
        """The images of each finished shard, in their order, and its file."""
        found = {}
        for path in sorted((self.folder / SHARDS).glob("*.npz")):
            first, _, last = path.stem.partition("-")
            if first.isdecimal() and last.isdecimal():
                found[range(int(first), int(last) + 1)] = path
        return dict(sorted(found.items(), key=lambda shard: shard[0].start))

    def write(self, number: int, arrays: Arrays) -> None:
        """Write image ``number``'s entries."""
        with atomic_write(self.path(number)) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def finish_shard(self, numbers: range) -> None:
        """Put the files of consecutive images in one, if every image has its file."""
        if self.complete or numbers in self._shards():
            return
        paths = [self.path(number) for number in numbers]
        if not all(path.is_file() for path in paths):
            return
        stacks = {}
        for name, (shape, dtype) in self.shapes.items():
            stacks[name] = np.empty((len(paths), *shape), dtype)
        for place, path in enumerate(paths):
            try:
                file = np.load(path, allow_pickle=False)
            except FileNotFoundError:  # another launch of the same has packed it meanwhile
                return
            with file as arrays:
                for name, stack in stacks.items():
                    if arrays[name].shape != stack.shape[1:]:
                        raise InputError(
                            f"{path}: {name} has shape {arrays[name].shape}, expected "
                            f"{stack.shape[1:]}; remove it, and run the command again"
                        )
                    stack[place] = arrays[name]
        shard = self.folder / SHARDS / f"{numbers.start:08}-{numbers.stop - 1:08}.npz"
        with atomic_write(shard) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **stacks)
        for path in paths:
            path.unlink(missing_ok=True)

    @property
    def whole(self) -> bool:
        """Whether the arrays are there, by whichever process."""
        return self.complete

    def finish(self) -> None:
        """Merge the shards into the arrays, if all are there; else leave what is there to continue
        with, or to whoever finishes last. Raises InputError: a shard is damaged, which is removed;
        nothing is merged from it."""
        if self.complete:
            return
        with exclusive(self.data, f"{self._name}.opening", wait=True):
            if not self.folder.is_dir():  # another process has merged them
                self.complete = self._are_finished(self._wanted)
                return
            if [i for numbers in self._shards() for i in numbers] != list(
                range(len(self.image_ids))
            ):
                return
            source, count = asdict(self.provenance), len(self.image_ids)
            for name, (shape, dtype) in self.shapes.items():
                array, entries = self.finals[name], partial(self._entries, name)
                sidecar = array.with_suffix(".manifest.json")
                write_pack(array, sidecar, source, (count, *shape), dtype, entries)
            shutil.rmtree(self.folder)
            self.complete = True

    def _entries(self, name: str, first: int) -> Iterator[np.ndarray]:
        """One array's entries from an image on; each shard is compared with its checksum (zip's),
        its shape and its type."""
        shape, dtype = self.shapes[name]
        for numbers, path in self._shards().items():
            if numbers.stop <= first:
                continue
            try:
                with np.load(path, allow_pickle=False) as arrays:
                    stack = arrays[name]
                if (stack.shape, stack.dtype) != ((len(numbers), *shape), np.dtype(dtype)):
                    raise ValueError(f"it holds {stack.dtype} of shape {stack.shape}")
            except (ValueError, KeyError, zipfile.BadZipFile, EOFError, zlib.error) as error:
                with suppress(OSError):
                    path.unlink()
                raise InputError(
                    f"{path}: was damaged ({first_line(error)}) and has been removed; run the "
                    f"command again, which makes these {len(numbers):,} images anew"
                ) from error
            yield from stack[max(0, first - numbers.start) :]

    def describe(self) -> str:
        """The arrays, and whether they are complete."""
        names = ",".join(self.finals)
        several = f"{{{names}}}" if len(self.finals) > 1 else names
        done = f"{len(self.image_ids):,} images" if self.complete else "not complete yet"
        return f"{self.data}/{self.split}_{several}.npy: {done}"
