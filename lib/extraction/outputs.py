"""Where extracted features go: one file per image, or arrays of a split packed from such files.

Every file is written atomically, and an extraction that was killed continues with the images that
have none."""

import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

from lib.data.checksums import append_sum, read_sums, write_sums
from lib.data.feature_files import SUFFIXES
from lib.data.pack import write_pack
from lib.data.provenance import Provenance, read_provenance, write_provenance
from lib.errors import InputError
from lib.files import atomic_write, file_sha256, remove_stale, text_sha256
from lib.outputs import exclusive

Arrays = Mapping[str, np.ndarray]
Shapes = Mapping[str, tuple[tuple[int, ...], str]]  # array -> shape and dtype of one image's entry


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

    def __init__(self, folder: Path, split: str, image_ids: Sequence[str], provenance: Provenance):
        """Open a folder that all splits share. Raises InputError: it holds features that were made
        with other settings, or cannot be written."""
        self.folder, self.split, self.image_ids = folder, split, image_ids
        self.sums = folder / f"{split}.sha256"
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
        # Files of an earlier version have no checksums, and the rest of theirs get none either.
        self._summed = self.sums.is_file() or len(self.pending()) == len(image_ids)

    def path(self, number: int) -> Path:
        """Image ``number``'s file."""
        return self.folder / f"{self.image_ids[number]}{self.suffix}"

    def pending(self) -> list[int]:
        """Numbers of the images without a file, or whose file has no checksum where others do: its
        writer was killed just then."""
        present = {entry.name for entry in os.scandir(self.folder)}
        if self.sums.is_file():
            present &= read_sums(self.sums).keys()
        return [i for i in range(len(self.image_ids)) if self.path(i).name not in present]

    def write(self, number: int, arrays: Arrays) -> None:
        """Write image ``number``'s only array."""
        (array,) = arrays.values()
        path = self.path(number)
        with atomic_write(path) as temporary:
            np.save(temporary, array)
            sha256 = file_sha256(temporary)
        if self._summed:
            append_sum(self.sums, path.name, sha256)

    def finish(self) -> None:
        """Count the images that have a file."""
        done = len(self.image_ids) - len(self.pending())
        sums = read_sums(self.sums)
        names = (self.path(number).name for number in range(len(self.image_ids)))
        if sums:
            write_sums(self.sums, {name: sums[name] for name in names if name in sums})
        with exclusive(self.folder, "manifest", wait=True):
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
    """Whether an image's file has these arrays; a damaged one has none."""
    try:
        with zipfile.ZipFile(path) as file:
            return {name.removesuffix(".npy") for name in file.namelist()} == names
    except (OSError, zipfile.BadZipFile):
        return False


class ArrayOutput(FileOutput):
    """``<data>/<split>_<name>.npy`` for each array, and ``<split>_<name>.manifest.json``; images'
    files are in a hidden folder beside them until all are there."""

    suffix = ".npz"

    def __init__(
        self,
        data: Path,
        split: str,
        image_ids: Sequence[str],
        shapes: Shapes,
        provenance: Provenance,
        overwrite: bool = False,
    ):
        """Find finished arrays in a dataset's folder, or continue a killed extraction;
        ``overwrite`` replaces finished ones, once the new ones are complete. Raises InputError:
        arrays of other settings, finished or not, are there, or nothing can be written."""
        self.split, self.image_ids, self.data, self.shapes = split, image_ids, data, shapes
        self.finals = {name: data / f"{split}_{name}.npy" for name in shapes}
        counts, ids = {split: len(image_ids)}, {split: text_sha256(image_ids)}
        provenance = replace(provenance, counts=counts, ids=ids)
        folder = data / f".{split}_{next(iter(shapes))}.extracting"
        unfinished = read_provenance(folder / "manifest.json")
        self.complete = unfinished is None and not overwrite and self._are_finished(provenance)
        if self.complete:
            return
        if folder.is_dir() and (unfinished is None or (overwrite and unfinished != provenance)):
            shutil.rmtree(folder)
        # Of a version that made fewer arrays.
        for path in folder.glob("*.npz") if folder.is_dir() else ():
            if not path.name.startswith(".") and not _holds(path, set(shapes)):
                path.unlink()
        super().__init__(folder, split, image_ids, provenance)

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
        """Numbers of the images without a file; none once the arrays are finished."""
        return [] if self.complete else super().pending()

    def write(self, number: int, arrays: Arrays) -> None:
        """Write image ``number``'s entries."""
        with atomic_write(self.path(number)) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def finish(self) -> None:
        """Pack the arrays, if every image has its file; else keep the files to continue with."""
        if self.complete or self.pending():
            return
        source, count = asdict(self.provenance), len(self.image_ids)
        for name, (shape, dtype) in self.shapes.items():
            array, entries = self.finals[name], partial(self._entries, name)
            sidecar = array.with_suffix(".manifest.json")
            write_pack(array, sidecar, source, (count, *shape), dtype, entries)
        shutil.rmtree(self.folder)
        self.complete = True

    def _entries(self, name: str, first: int) -> Iterator[np.ndarray]:
        for number in range(first, len(self.image_ids)):
            with np.load(self.path(number), allow_pickle=False) as arrays:
                yield arrays[name]

    def describe(self) -> str:
        """The arrays, and whether they are complete."""
        names = ",".join(self.finals)
        several = f"{{{names}}}" if len(self.finals) > 1 else names
        done = f"{len(self.image_ids):,} images" if self.complete else "not complete yet"
        return f"{self.data}/{self.split}_{several}.npy: {done}"
