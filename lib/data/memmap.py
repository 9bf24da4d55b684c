"""Arrays of a split, read image by image.

Entries are read, not mapped: a process stays small whatever the size of the file (COCO's region
features are 33 GB), and a file that is cut short while it is used is an error, not a signal."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lib.data.captions import CAPTIONS_PER_IMAGE
from lib.errors import InputError, first_line

SAMPLE = 16  # entries whose content tells whether an array has changed


@dataclass(frozen=True)
class Header:
    """What a ``.npy`` file says of itself, checked against its size."""

    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int  # bytes before the first value
    size: int  # of the file


def read_header(path: Path) -> Header:
    """The header of a ``.npy`` file of numbers in C order, whose values are all there. Raises
    InputError: missing, cut short, pickled, Fortran-ordered, or not an array of numbers."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            reader = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }
            if version not in reader:
                raise ValueError(f"it has .npy version {version}")
            shape, fortran, dtype = reader[version](file)
            header = Header(shape, dtype, file.tell(), os.fstat(file.fileno()).st_size)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:  # NumPy parses the header with Python's own tokenizer
        raise InputError(f"{path}: is not a readable .npy file ({first_line(error)})") from error
    if dtype.hasobject:
        raise InputError(f"{path}: is not a readable .npy file (it holds Python objects)")
    if dtype.kind not in "fiub" or fortran:
        raise InputError(
            f"{path}: holds {dtype} of shape {shape}, expected float or integer in C order"
        )
    if not all(type(side) is int and side >= 0 for side in shape):
        raise InputError(f"{path}: is not a readable .npy file (its shape is {shape})")
    count = 1
    for side in shape:
        count *= side
    if header.offset + count * dtype.itemsize > header.size:
        raise InputError(f"{path}: is not a readable .npy file (it is cut short)")
    return header


class MemmapArray:
    """One array of a split: ``array[i]`` is image i's entry as float32, read from the disk."""

    def __init__(
        self,
        path: Path,
        images: int,
        shape: tuple[int | None, ...],
        meaning: str,
        problem: Callable[[np.ndarray], str | None] | None = None,
    ):
        """Open and check a ``.npy`` file of n or 5n entries for n images, of any float or integer
        dtype and ``shape``, in which None is any size from 1; ``meaning`` names its axes in errors,
        ``problem`` says what is wrong with an entry's finite values. Raises InputError: missing,
        cut short, pickled, or of another count, shape or dtype."""
        self.path, self.images, self._problem = path, images, problem
        self._header = header = read_header(path)
        if not header.shape:
            raise InputError(f"{path}: holds a single number, expected an array")
        rows, *entry = header.shape
        entry_shape = tuple(entry)
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
        self.shape, self.dtype = header.shape, header.dtype
        self._bytes = int(np.prod(entry_shape)) * header.dtype.itemsize  # of an entry
        self.stride = rows // images  # 5 where entries are stored per caption row
        self._file: int | None = None

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, image: int) -> np.ndarray:
        """Image ``image``'s entry, float32. Raises InputError: NaN, infinite or impossible, or the
        file has been cut short."""
        raw = np.frombuffer(self._read(image), self.dtype).reshape(self.shape[1:])
        values = raw.astype(np.float32)
        problem = None if np.isfinite(values).all() else "NaN or infinite values"
        if problem is None and self._problem is not None:
            problem = self._problem(values)
        if problem is not None:
            raise InputError(
                f"{self.path}: entry {image * self.stride} holds {problem}; "
                "scripts/check_data.py lists all of them"
            )
        return values

    def _read(self, image: int) -> bytes:
        try:
            if self._file is None:
                self._file = os.open(self.path, os.O_RDONLY)
            place = self._header.offset + image * self.stride * self._bytes
            content = os.pread(self._file, self._bytes, place)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({first_line(error)})") from error
        if len(content) < self._bytes:
            raise InputError(f"{self.path}: has been cut short since it was opened")
        return content

    def fingerprint(self) -> str:
        """A checksum of the size and of a sample of entries, to tell whether it has changed."""
        digest = hashlib.sha256(f"{self.shape} {self.dtype} {self._header.size}".encode())
        for image in sample(self.images):
            digest.update(self._read(image))
        return digest.hexdigest()

    def __getstate__(self) -> dict[str, Any]:  # a worker started afresh opens the file again
        return self.__dict__ | {"_file": None}

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            os.close(self._file)  # type: ignore[arg-type]

    def describe(self) -> str:
        """Shape, dtype and layout in words."""
        per = "per image" if self.stride == 1 else "per caption row, every fifth is read"
        return f"{self.shape} {self.dtype}, one entry {per}"


def sample(count: int) -> list[int]:
    """At most SAMPLE numbers below ``count``, evenly spread, the first and the last among them."""
    return sorted({round(i * (count - 1) / (SAMPLE - 1)) for i in range(SAMPLE)})
