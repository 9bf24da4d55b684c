"""Where extracted features go: one file per image, or arrays of a split; whole or not there.

A killed extraction goes on with the images that are not done, and the files are those of one that
was never killed.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from lib.data.folder import SUFFIXES
from lib.data.manifest import Manifest, ids_sha256, read_manifest, write_manifest
from lib.errors import InputError
from lib.files import is_running, replacing

SYNC_EVERY = 64  # images between two moments from which a killed extraction goes on
Arrays = Mapping[str, np.ndarray]


class Output(Protocol):
    """What the runner needs of either kind."""

    def pending(self) -> list[int]: ...
    def write(self, number: int, arrays: Arrays) -> None: ...
    def finish(self) -> None: ...
    def describe(self) -> str: ...


def _differences(found: Manifest, wanted: Manifest) -> list[str]:
    """Of what they are made with and, for arrays, of which images they are."""
    differing = found.differences(wanted)
    if (found.counts, found.ids) != (wanted.counts, wanted.ids) and wanted.ids:
        (split,) = wanted.ids
        images = f"{found.counts.get(split)} images there, {wanted.counts[split]} now"
        differing.append(f"{split}_ids.txt names others or in another order ({images})")
    return differing


def _require_same(path: Path, found: Manifest, wanted: Manifest) -> None:
    if differing := _differences(found, wanted):
        advice = "--overwrite replaces them" if wanted.ids else "choose another --out"
        raise InputError(
            f"{path}: features made otherwise are there: {'; '.join(differing)}; {advice}"
        )


class FileOutput:
    """``<folder>/<id>.npy`` per image, and ``<folder>/manifest.json``."""

    def __init__(self, folder: Path, split: str, image_ids: Sequence[str], manifest: Manifest):
        """Refuse a folder of features that were made otherwise.

        Args:
            folder: shared by all splits.
            split: that the ids are of.
            image_ids: the split's.
            manifest: of what makes the features.

        Raises:
            InputError: see above, or the folder cannot be written.
        """
        self.folder, self.split, self.image_ids = folder, split, image_ids
        self.manifest_path = folder / "manifest.json"
        found = read_manifest(self.manifest_path)
        if found is not None:
            _require_same(self.manifest_path, found, manifest)
        elif folder.is_dir() and any(path.suffix in SUFFIXES for path in folder.iterdir()):
            raise InputError(
                f"{folder}: holds features that no manifest tells the making of; choose another "
                "--out"
            )
        self.manifest = found or manifest
        if found is None:
            write_manifest(self.manifest_path, manifest)
        for stale in folder.glob(".*.writing-*"):
            if not is_running(stale):
                stale.unlink(missing_ok=True)

    def pending(self) -> list[int]:
        """Numbers of the images without a file."""
        present = {entry.name for entry in os.scandir(self.folder)}
        return [i for i, name in enumerate(self.image_ids) if f"{name}.npy" not in present]

    def write(self, number: int, arrays: Arrays) -> None:
        """Write image ``number``'s only array."""
        (array,) = arrays.values()
        with replacing(self.folder / f"{self.image_ids[number]}.npy") as temporary:
            np.save(temporary, array)

    def finish(self) -> None:
        """Count what is there."""
        done = len(self.image_ids) - len(self.pending())
        # Read again: another process may have finished another split meanwhile.
        self.manifest = read_manifest(self.manifest_path) or self.manifest
        if self.manifest.counts.get(self.split) != done:
            self.manifest.counts[self.split] = done
            write_manifest(self.manifest_path, self.manifest)

    def describe(self) -> str:
        """How many of the split's images have a file."""
        done = self.manifest.counts[self.split]
        return f"{self.folder}: {done:,} of {len(self.image_ids):,} images of {self.split}"


class ArrayOutput:
    """``<data>/<split>_<name>.npy`` for each array, and ``<split>_<name>.manifest.json``."""

    def __init__(
        self,
        data: Path,
        split: str,
        image_ids: Sequence[str],
        shapes: Mapping[str, tuple[tuple[int, ...], str]],
        manifest: Manifest,
        overwrite: bool = False,
    ):
        """Open the arrays under temporary names, or go on with those of a killed extraction.

        Args:
            data: the dataset's folder.
            split: name of the split.
            image_ids: the split's, in the order of the arrays.
            shapes: array name -> shape and dtype of one image's entry.
            manifest: of what makes them.
            overwrite: replace finished arrays, once the new ones are whole.

        Raises:
            InputError: finished arrays made otherwise are there and ``overwrite`` is false, an
                unfinished extraction had other settings, or nothing can be written.
        """
        self.data, self.split, self.images = data, split, len(image_ids)
        ids = {split: ids_sha256(image_ids)}
        self.manifest = replace(manifest, counts={split: self.images}, ids=ids)
        self.shapes = shapes
        self.finals = {name: data / f"{split}_{name}.npy" for name in shapes}
        first = next(iter(shapes))
        self._done_path, self._settings_path = (
            data / f".{split}_{first}.extracting.{suffix}" for suffix in ("done", "json")
        )
        self._partials = {n: data / f".{split}_{n}.extracting.npy" for n in shapes}
        self.complete = not self._settings_path.exists() and self._are_there(overwrite)
        self._unmarked: list[int] = []  # written, but not yet marked as done
        if self.complete:
            return
        unfinished = read_manifest(self._settings_path)
        if unfinished is not None and not overwrite:
            _require_same(self._settings_path, unfinished, self.manifest)
        goes_on = unfinished is not None and not _differences(unfinished, self.manifest)
        self._open(shapes, resume=goes_on)

    def _are_there(self, overwrite: bool) -> bool:
        if overwrite or not any(path.exists() for path in self.finals.values()):
            return False
        for path in self.finals.values():
            found = read_manifest(self._manifest_path(path))
            if found is None or not path.exists():
                raise InputError(
                    f"{path}: is there, and no manifest tells who made it; --overwrite replaces it"
                    if path.exists()
                    else f"{path}: is missing beside the others; --overwrite makes all anew"
                )
            _require_same(path, found, self.manifest)
        return True

    def _open(self, shapes: Mapping[str, tuple[tuple[int, ...], str]], resume: bool) -> None:
        try:
            if not resume:
                for path in (self._done_path, *self._partials.values()):
                    path.unlink(missing_ok=True)
                self._done_path.write_bytes(bytes(self.images))
                for name, (shape, dtype) in shapes.items():
                    with replacing(self._partials[name]) as temporary:
                        np.lib.format.open_memmap(temporary, "w+", dtype, (self.images, *shape))
                # Last: from here on there is something to go on with.
                write_manifest(self._settings_path, self.manifest)
            self._done = np.memmap(self._done_path, np.uint8, "r+")
            self._arrays = {
                name: np.lib.format.open_memmap(path, "r+")
                for name, path in self._partials.items()
                if path.exists()  # else it was renamed already, and all are done
            }
        except OSError as error:
            raise InputError(f"{self.data}: cannot be written ({error})") from error

    def _manifest_path(self, final: Path) -> Path:
        return final.with_suffix(".manifest.json")

    def pending(self) -> list[int]:
        """Numbers of the images without entries."""
        return [] if self.complete else np.flatnonzero(self._done == 0).tolist()

    def write(self, number: int, arrays: Arrays) -> None:
        """Write image ``number``'s entries."""
        for name, array in arrays.items():
            assert array.shape == self.shapes[name][0]  # or NumPy would broadcast it
            self._arrays[name][number] = array
        self._unmarked.append(number)
        if len(self._unmarked) >= SYNC_EVERY:
            self._sync()

    def _sync(self) -> None:
        for array in self._arrays.values():  # before the marks that say they are done
            array.flush()
        self._done[self._unmarked] = 1
        self._done.flush()
        self._unmarked = []

    def finish(self) -> None:
        """Name the arrays, if every image has its entries; else keep them to go on with."""
        if self.complete:
            return
        self._sync()
        if self.pending():
            return
        for name, partial in self._partials.items():
            if partial.exists():
                # Without a manifest nobody takes the old one for the new.
                self._manifest_path(self.finals[name]).unlink(missing_ok=True)
                partial.replace(self.finals[name])
        for path in self.finals.values():
            write_manifest(self._manifest_path(path), self.manifest)
        self._settings_path.unlink()
        self._done_path.unlink()
        self.complete = True

    def describe(self) -> str:
        """The arrays, and whether they are whole."""
        names = ",".join(self.finals)
        several = f"{{{names}}}" if len(self.finals) > 1 else names
        done = f"{self.images:,} images" if self.complete else "not whole yet"
        return f"{self.data}/{self.split}_{several}.npy: {done}"
