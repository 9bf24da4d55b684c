"""Where extracted features go: one file per image.

Every file is written atomically, and an extraction that was killed continues with the images that
have none. Several processes, on one machine or on many that share a disk, may write at once."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lib.data.checksums import append_sum, read_sums, write_sums
from lib.data.feature_files import SUFFIXES
from lib.data.provenance import Provenance, read_provenance, write_provenance
from lib.errors import InputError
from lib.files import atomic_write, file_sha256, remove_stale
from lib.outputs import exclusive
from lib.share import ALONE, Share

Arrays = Mapping[str, np.ndarray]


def require_same(path: Path, found: Provenance, wanted: Provenance) -> None:
    """Raises InputError: features of other settings or, for arrays, of other images."""
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
    sums_files = True  # whether each image's file gets a checksum

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
            require_same(self.manifest, found, provenance)
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
            self._summed = self.sums_files and (
                bool(self._all_sums()) or len(self.pending()) == len(image_ids)
            )
            if self._summed and not share.alone:  # seen by those that start later
                self._own_sums.touch()

    def path(self, number: int) -> Path:
        """Image ``number``'s file."""
        return self.folder / f"{self.image_ids[number]}{self.suffix}"

    def pending(self) -> list[int]:
        """Numbers of the images without a file, or whose file has no checksum where others do: its
        writer was killed just then."""
        present = {entry.name for entry in os.scandir(self.folder)}
        if self.sums_files and self._all_sums():
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
        """Count the images that have a file, and put their checksums in one file; of several
        processes whoever finds all there does. Until then each keeps its own, under a name that no
        other has, though it be on another machine."""
        names = [self.path(number).name for number in range(len(self.image_ids))]
        with exclusive(self.folder, "manifest", wait=True):
            pending, sums = self.pending(), self._sums()
            done = len(names) - len(pending)
            if sums and (not pending or self._own_sums == self.sums):
                write_sums(self.sums, {name: sums[name] for name in names if name in sums})
            for path in self._all_sums() if not pending else ():  # nothing is left to add
                if path != self.sums:
                    path.unlink(missing_ok=True)
            # Read again: another process may have finished another split meanwhile.
            self.provenance = read_provenance(self.manifest) or self.provenance
            if self.provenance.counts.get(self.split) != done:
                self.provenance.counts[self.split] = done
                write_provenance(self.manifest, self.provenance)

    def describe(self) -> str:
        """How many of the split's images have a file."""
        done, total = self.provenance.counts[self.split], len(self.image_ids)
        so_far = "" if done == total or self._own_sums == self.sums else " so far"
        return f"{self.folder}: {done:,} of {total:,} images of {self.split}{so_far}"
