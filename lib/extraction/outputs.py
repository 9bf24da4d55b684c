"""Where extracted features go: one file per image, or arrays of a split, packed from shards.

Every file is written atomically, and an extraction that was killed continues with the images that
have none. Several processes, on one machine or on many that share a disk, may write at once: each
writes its own images and shards, and whoever finds all of them there merges them."""

import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

from lib.data.checksums import append_sum, read_sums, write_sums
from lib.data.feature_files import SUFFIXES
from lib.data.pack import write_pack
from lib.data.provenance import Provenance, read_provenance, write_provenance
from lib.errors import InputError, first_line
from lib.files import atomic_write, file_sha256, remove_stale, text_sha256
from lib.outputs import exclusive
from lib.share import ALONE, Share

Arrays = Mapping[str, np.ndarray]
Shapes = Mapping[str, tuple[tuple[int, ...], str]]  # array -> shape and dtype of one image's entry
SHARDS = "shards"  # the folder of finished ones, beside the files of single images


def _require_same(path: Path, found: Provenance, wanted: Provenance) -> None:
    """Refuse features of other settings or, for arrays, of other images."""
    differing = found.differences(wanted)
    if wanted.ids and (found.counts, found.ids) != (wanted.counts, wanted.ids):
        (split,) = wanted.ids
        images = f"{found.counts.get(split)} images there, {wanted.counts[split]} now"
        differing.append(f"{split}_ids.txt names other images or another order ({images})")
    if differing:
        advice = "--overwrite replaces them" if wanted.ids else "choose another --out"
        raise InputError(
            f"{path}: existing features were made with other settings: {'; '.join(differing)}; "
            f"{advice}"
        )


class FileOutput:
    """``<folder>/<id>.npy`` per image, and ``<folder>/manifest.json``."""

    suffix = ".npy"

    def __init__(
        self,
        folder: Path,
        split: str,
        image_ids: Sequence[str],
        provenance: Provenance,
        share: Share = ALONE,
    ):
        """Open a folder that all splits, and all processes, share. Raises InputError: it holds
        features that were made with other settings, or cannot be written."""
        self.folder, self.split, self.image_ids = folder, split, image_ids
        self.sums = folder / f"{split}.sha256"
        # Lines that several machines append to one file may be lost: each process has a file.
        self._own_sums = self.sums if share.alone else folder / f".{split}{share.mark}.sha256"
        self.manifest = folder / "manifest.json"
        found = read_provenance(self.manifest)
        if found is not None:
            _require_same(self.manifest, found, provenance)
        elif folder.is_dir() and any(path.suffix in SUFFIXES for path in folder.iterdir()):
            raise InputError(f"{folder}: holds features without a manifest; choose another --out")
        else:
            with exclusive(folder, "manifest", wait=True):
                if not self.manifest.exists():
                    write_provenance(self.manifest, provenance)
        self.provenance = found or provenance
        remove_stale(folder)
        with exclusive(folder, "manifest", wait=True):
            # Files of an earlier version have no checksums, and the rest of theirs get none either.
            self._summed = bool(self._all_sums()) or len(self.pending()) == len(image_ids)
            if self._summed and not share.alone:  # seen by those that start later
                self._own_sums.touch()

    def path(self, number: int) -> Path:
        """Image ``number``'s file."""
        return self.folder / f"{self.image_ids[number]}{self.suffix}"

    def pending(self) -> list[int]:
        """Numbers of the images without a file, or whose file has no checksum where others do: its
        writer was killed just then."""
        present = {entry.name for entry in os.scandir(self.folder)}
        if self._all_sums():
            present &= self._sums().keys()
        return [i for i in range(len(self.image_ids)) if self.path(i).name not in present]

    def _all_sums(self) -> list[Path]:
        """The files of checksums, those of processes that are at work or were killed last."""
        name = re.compile(rf"\.{re.escape(self.split)}-\d+-of-\d+\.sha256")
        parts = [path for path in self.folder.iterdir() if name.fullmatch(path.name)]
        return [self.sums, *sorted(parts)] if self.sums.is_file() else sorted(parts)

    def _sums(self) -> dict[str, str]:
        return {name: value for path in self._all_sums() for name, value in read_sums(path).items()}

    def write(self, number: int, arrays: Arrays) -> None:
        """Write image ``number``'s only array."""
        (array,) = arrays.values()
        path = self.path(number)
        with atomic_write(path) as temporary:
            np.save(temporary, array)
            sha256 = file_sha256(temporary)
        if self._summed:
            append_sum(self._own_sums, path.name, sha256)

    def finish_shard(self, numbers: range) -> None:
        """Called when these consecutive images are done, or have failed; there is nothing to do
        for files of one image each."""

    @property
    def whole(self) -> bool:
        """Whether every image is there, by whichever process."""
        return not self.pending()

    def finish(self) -> None:
        """Count the images that have a file, and put their checksums in one file."""
        names = [self.path(number).name for number in range(len(self.image_ids))]
        with exclusive(self.folder, "manifest", wait=True):
            pending, sums = self.pending(), self._sums()
            done = len(names) - len(pending)
            if sums:
                write_sums(self.sums, {name: sums[name] for name in names if name in sums})
            for path in self._all_sums():
                # Of others only once nothing is left that they might add.
                if path != self.sums and (path == self._own_sums or not pending):
                    path.unlink(missing_ok=True)
            # Read again: another process may have finished another split meanwhile.
            self.provenance = read_provenance(self.manifest) or self.provenance
            if self.provenance.counts.get(self.split) != done:
                self.provenance.counts[self.split] = done
                write_provenance(self.manifest, self.provenance)

    def describe(self) -> str:
        """How many of the split's images have a file."""
        done = self.provenance.counts[self.split]
        return f"{self.folder}: {done:,} of {len(self.image_ids):,} images of {self.split}"


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
            _require_same(path, found, provenance)
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
