"""Features of one file per image, packed: one mapped array per split.

A pack is ``<folder>/<split>.npy``, all images' rows one after the other, (rows, C), and
``<folder>/<split>.npz`` beside it, written last, which says whose they are.
"""

import json
import os
import zlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lib.config import FeaturesConfig
from lib.data.arrays import MappedFile
from lib.errors import InputError, first_line
from lib.files import replacing

HEADER_BYTES = 128  # of the .npy file, reserved until its shape is known
# One image's line in the journal: its rows, their checksum, its file's size and time of change.
ENTRY = np.dtype([("rows", "<i8"), ("crc32", "<u4"), ("size", "<i8"), ("modified", "<i8")])
SYNC_EVERY = 256  # images between two moments from which a killed packing goes on


class Pack:
    """``pack[i]`` is image i's rows, (K, C) float32, just as the files gave them."""

    def __init__(
        self,
        folder: Path,
        split: str,
        image_ids: list[str],
        img_dim: int,
        features: FeaturesConfig,
    ):
        """Open a pack and check that it is of these images and settings.

        Raises:
            InputError: damaged, or of other images, channels, type or pooling.
        """
        self.path = folder / f"{split}.npz"
        self.features = features
        try:
            with np.load(self.path, allow_pickle=False) as index:
                ids, self.entries = index["image_ids"], index["entries"]
                made = {name: index[name].item() for name in ("type", "grid_size", "source")}
            if self.entries.dtype != ENTRY or len(ids) != len(self.entries):
                raise ValueError("its entries are not a pack's")
        except Exception as error:  # NumPy fails on damaged files in many ways
            raise InputError(f"{self.path}: is no pack's index ({first_line(error)})") from error
        again = "pack again with scripts/pack_features.py"
        if ids.tolist() != image_ids:
            raise InputError(
                f"{self.path}: is of {len(ids)} images, {split}_ids.txt of {len(image_ids)}; they "
                f"differ, or their order does; {again}"
            )
        wanted = {"type": features.type, "grid_size": _side(features)}
        if differing := [k for k, v in wanted.items() if made[k] != v]:
            found = ", ".join(f"features.{k} {made[k] or 'null'}" for k in differing)
            asked = ", ".join(f"{wanted[k] or 'null'}" for k in differing)
            raise InputError(f"{self.path}: was packed with {found}, asked for is {asked}; {again}")
        self.source = made["source"]
        self.offsets = np.concatenate([[0], np.cumsum(self.entries["rows"])])
        self.file = MappedFile(folder / f"{split}.npy")
        expected = (int(self.offsets[-1]), img_dim)
        if self.file.shape != expected:
            raise InputError(f"{self.file.path}: holds {self.file.shape}, expected {expected}")
        sizes = np.unique(self.entries["rows"])
        if features.regions is not None and sizes.tolist() != [features.regions]:
            raise InputError(
                f"{self.path}: holds {sizes[0]} to {sizes[-1]} rows per image, expected "
                f"{features.regions} (features.regions)"
            )

    @staticmethod
    def is_at(folder: Path, split: str) -> bool:
        """Whether ``folder`` holds a finished pack of ``split``."""
        return (folder / f"{split}.npz").is_file()

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, image: int) -> np.ndarray:
        """Image ``image``'s rows, (K, C) float32; the files were checked when they were packed."""
        return self.file.read(slice(self.offsets[image], self.offsets[image + 1]))

    def describe(self) -> str:
        """Images, rows, dtype, and what they were packed from."""
        return (
            f"a pack of {len(self):,} images, {self.file.shape} {self.file.dtype}, from "
            f"{self.source}"
        )

    def broken(self, image: int) -> bool:
        """Whether image ``image``'s rows are not those that were packed, by their checksum."""
        return zlib.crc32(self[image].astype(self.file.dtype)) != self.entries[image]["crc32"]

    def is_of(self, image: int, stamp: tuple[int, int]) -> bool:
        """Whether image ``image``'s file is still the one that was packed, by its stamp."""
        return (self.entries[image]["size"], self.entries[image]["modified"]) == stamp


@dataclass(frozen=True)
class _Settings:
    """What a packing must have in common with the one that it goes on with."""

    image_ids_crc32: int
    source: str
    type: str
    grid_size: int
    channels: int
    dtype: str


class Packer:
    """Writes one split's pack; a killed packing goes on where its last whole images end."""

    def __init__(
        self,
        folder: Path,
        split: str,
        image_ids: list[str],
        img_dim: int,
        features: FeaturesConfig,
        dtype: str,
        rounding: bool,
        stamp: Callable[[int], tuple[int, int]],
    ):
        """Look for a packing to go on with; writes nothing.

        Args:
            folder: of the pack.
            split: its name.
            image_ids: the split's.
            img_dim: channels, C.
            features: what the rows that :meth:`write` gets were read with.
            dtype: of the pack, float16 or float32.
            rounding: whether the dtype may round values; else it is an error where it would.
            stamp: an image's file's size and time of change, by which it is known again.

        Raises:
            InputError: an unfinished packing with other settings is in the way.
        """
        self.folder, self.split, self.image_ids = folder, split, image_ids
        self.rounding, self.stamp = rounding, stamp
        self.settings = _Settings(
            zlib.crc32("\n".join(image_ids).encode()),
            str(features.folder),
            features.type,
            _side(features),
            img_dim,
            dtype,
        )
        self._settings_path, self._journal_path, self._rows_path = (
            folder / f".{split}.packing.{suffix}" for suffix in ("json", "journal", "npy")
        )
        self._final_path, self._index_path = (folder / f"{split}{s}" for s in (".npy", ".npz"))
        self.done = self._resume_point()

    def _resume_point(self) -> int:
        """How many images an earlier packing has whole."""
        if not self._settings_path.is_file():
            return 0
        try:
            found = json.loads(self._settings_path.read_text())
        except ValueError:
            found = {}
        if found != asdict(self.settings):
            raise InputError(
                f"{self._settings_path}: an unfinished packing with other settings ({found}); "
                f"remove {self.folder}/.{self.split}.packing.* to start anew"
            )
        rows_path = self._rows_path
        if not rows_path.exists() and not self._index_path.exists():
            rows_path = self._final_path  # it was stopped between the last two steps
        if not (self._journal_path.is_file() and rows_path.is_file()):
            return 0
        journal = self._journal_path.read_bytes()
        entries = np.frombuffer(journal[: len(journal) // ENTRY.itemsize * ENTRY.itemsize], ENTRY)
        ends = HEADER_BYTES + np.cumsum(entries["rows"]) * self._row_bytes
        whole = int((ends <= rows_path.stat().st_size).sum())
        for image, entry in enumerate(entries[:whole]):
            if (entry["size"], entry["modified"]) != self.stamp(image):
                return image  # its file has changed since
        return whole

    @property
    def unfinished(self) -> bool:
        """Whether there is a packing to go on with, be it without a whole image yet."""
        return self._settings_path.is_file()

    @property
    def _row_bytes(self) -> int:
        return self.settings.channels * np.dtype(self.settings.dtype).itemsize

    def write(self, rest: Iterable[np.ndarray]) -> None:
        """Append the images from number ``done`` on, then finish the pack.

        Args:
            rest: (K, C) float32 each, of all images that are not done.

        Raises:
            InputError: a value that the dtype would change, or the folder cannot be written.
        """
        try:
            self._write(rest)
        except OSError as error:
            raise InputError(
                f"{self.folder}: cannot be written ({first_line(error)}); the packing goes on "
                "when it is started again"
            ) from error

    def _write(self, rest: Iterable[np.ndarray]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self._settings_path) as temporary:
            temporary.write_text(json.dumps(asdict(self.settings)))
        if self.done and not self._rows_path.exists():
            self._final_path.replace(self._rows_path)
        for path in (self._journal_path, self._rows_path):
            path.touch()
        dtype = np.dtype(self.settings.dtype)
        with self._journal_path.open("r+b") as journal, self._rows_path.open("r+b") as file:
            kept = np.frombuffer(journal.read(self.done * ENTRY.itemsize), ENTRY)
            journal.truncate(self.done * ENTRY.itemsize)
            file.truncate(HEADER_BYTES + int(kept["rows"].sum()) * self._row_bytes)
            journal.seek(0, os.SEEK_END)
            file.seek(0, os.SEEK_END)
            for image, rows in enumerate(rest, self.done):
                with np.errstate(over="ignore"):  # said in the next line
                    packed = rows.astype(dtype)
                self._require_kept(image, rows, packed)
                file.write(packed)
                entry = (len(rows), zlib.crc32(packed), *self.stamp(image))
                journal.write(np.array([entry], ENTRY))
                if image % SYNC_EVERY == SYNC_EVERY - 1:
                    _sync(file, journal)
            _sync(file, journal)
        self._finish()

    def _require_kept(self, image: int, rows: np.ndarray, packed: np.ndarray) -> None:
        kept = np.isfinite(packed) if self.rounding else packed == rows
        if not kept.all():
            raise InputError(
                f"image {self.image_ids[image]}: {'overflows' if self.rounding else 'is not'} "
                f"{packed.dtype}; pack with --dtype float32"
            )

    def _finish(self) -> None:
        entries = np.fromfile(self._journal_path, ENTRY)
        if len(entries) != len(self.image_ids):
            raise ValueError(f"{len(entries)} of {len(self.image_ids)} images were given")
        settings = self.settings
        shape = (int(entries["rows"].sum()), settings.channels)
        with self._rows_path.open("r+b") as file:
            file.write(_header(shape, np.dtype(settings.dtype)))
            _sync(file)
        # No index speaks of another file's rows, at whatever point this is stopped.
        self._index_path.unlink(missing_ok=True)
        self._rows_path.replace(self._final_path)
        with replacing(self._index_path) as temporary:
            np.savez(
                temporary,
                image_ids=np.array(self.image_ids),
                entries=entries,
                type=np.array(settings.type),
                grid_size=np.array(settings.grid_size),
                source=np.array(settings.source),
            )
        for path in (self._settings_path, self._journal_path):  # without settings, no packing
            path.unlink()


def _side(features: FeaturesConfig) -> int:
    """The side that cells are pooled to, 0 for none."""
    return (features.grid_size or 0) if features.type == "grid" else 0


def _sync(*files: BinaryIO) -> None:
    for file in files:
        file.flush()
        os.fsync(file.fileno())


def _header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """A version 1.0 ``.npy`` header of exactly HEADER_BYTES."""
    text = repr({"descr": dtype.str, "fortran_order": False, "shape": shape})
    length = HEADER_BYTES - len(np.lib.format.MAGIC_PREFIX) - 4
    padded = text.ljust(length - 1) + "\n"
    assert len(padded) == length
    start = np.lib.format.magic(1, 0) + length.to_bytes(2, "little")
    return start + padded.encode("latin1")
