"""An array of a split, read image by image from one mapped file.

A mapped file's pages are given back as reading goes on, so that a process stays small whatever the
size of the file (COCO's region features are 33 GB).
"""

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from lib.errors import InputError, first_line

CAPTIONS_PER_IMAGE = 5
RELEASE_AFTER = 64  # entries read from a map before its pages are given back


class Entries(Protocol):
    """One entry per image, read when asked: what arrays, folders and packs share."""

    def __len__(self) -> int: ...
    def __getitem__(self, image: int) -> np.ndarray: ...
    def describe(self) -> str: ...


class MappedFile:
    """A ``.npy`` file of numbers, mapped: entries are read from the disk when asked."""

    def __init__(self, path: Path):
        """Open a file of any float or integer dtype and check that it is whole.

        Raises:
            InputError: missing, cut short, pickled, Fortran-ordered, or no array of numbers.
        """
        self.path = path
        self.shape, self.dtype = self._read_header()
        self._open()

    def read(self, entries: int | slice) -> np.ndarray:
        """``array[entries]`` as float32, a copy."""
        values = self._array[entries].astype(np.float32)
        self._reads += 1
        if self._reads % RELEASE_AFTER == 0 and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)  # the page cache keeps them, the process not
        return values

    def _read_header(self) -> tuple[tuple[int, ...], np.dtype]:
        try:
            with self.path.open("rb") as file:
                version = np.lib.format.read_magic(file)
                read = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }[version]
                shape, fortran, dtype = read(file)
                self._offset = file.tell()
        except FileNotFoundError:
            raise InputError(f"{self.path}: no such file") from None
        except Exception as error:  # NumPy parses the header with Python's own tokenizer
            raise InputError(
                f"{self.path}: is no readable .npy file ({first_line(error)})"
            ) from error
        if dtype.hasobject:
            raise InputError(f"{self.path}: holds pickled objects, expected numbers; refused")
        if dtype.kind not in "fiub" or fortran or not shape:
            order = "Fortran" if fortran else "C"
            raise InputError(
                f"{self.path}: holds {dtype} in {order} order with shape {shape}, "
                "expected float or integer in C order"
            )
        expected = self._offset + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        found = self.path.stat().st_size
        if found < expected:
            raise InputError(
                f"{self.path}: is cut short; holds {found:,} bytes, its header says {expected:,}"
            )
        return shape, dtype

    def _open(self) -> None:
        self._reads = 0
        with self.path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._array = np.ndarray(self.shape, self.dtype, self._map, self._offset)

    def __getstate__(self) -> dict:
        return {k: v for k, v in self.__dict__.items() if k not in ("_map", "_array")}

    def __setstate__(self, state: dict) -> None:  # a worker started afresh maps the file again
        self.__dict__.update(state)
        self._open()


class MappedArray:
    """One array of a split: ``array[i]`` is image i's entry as float32, read from the disk."""

    def __init__(
        self,
        path: Path,
        images: int,
        shape: tuple[int | None, ...],
        meaning: str,
        problem: Callable[[np.ndarray], str | None] | None = None,
    ):
        """Open and check an array.

        Args:
            path: a ``.npy`` file of any float or integer dtype.
            images: number of images in the split, n; the array holds n or 5n entries.
            shape: expected shape of one entry; None is any size from 1.
            meaning: what the axes are, for errors.
            problem: says what is wrong with an entry's finite values, if anything is.

        Raises:
            InputError: missing, cut short, pickled, or of another count, shape or dtype.
        """
        self.file = MappedFile(path)
        rows, entry_shape = self.file.shape[0], tuple(self.file.shape[1:])
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        if rows not in (images, CAPTIONS_PER_IMAGE * images):
            raise InputError(
                f"{path}: holds {rows} entries, expected {images} (one per image) or "
                f"{CAPTIONS_PER_IMAGE * images} (one per caption)"
            )
        fits = len(shape) == len(entry_shape) and all(
            found >= 1 and size in (None, found)
            for size, found in zip(shape, entry_shape, strict=True)
        )
        if not fits:
            raise InputError(
                f"{path}: holds entries of shape {entry_shape}, expected ({wanted}): {meaning}"
            )
        self.images = images
        self.stride = rows // images  # 5 where entries are stored per caption row
        self._problem = problem

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, image: int) -> np.ndarray:
        """Image ``image``'s entry, float32.

        Raises:
            InputError: NaN, infinite or impossible values, naming file and entry.
        """
        values = self.file.read(image * self.stride)
        problem = None if np.isfinite(values).all() else "NaN or infinite values"
        if problem is None and self._problem is not None:
            problem = self._problem(values)
        if problem is not None:
            raise InputError(
                f"{self.file.path}: entry {image * self.stride} holds {problem}; "
                "scripts/check_data.py lists all of them"
            )
        return values

    def describe(self) -> str:
        """Shape, dtype and layout in words."""
        per = "per image" if self.stride == 1 else "per caption row, every fifth is read"
        return f"{self.file.shape} {self.file.dtype}, one entry {per}"
