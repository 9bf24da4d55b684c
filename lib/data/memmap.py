"""Memory-mapped arrays of a split, read image by image.

Pages are released while it reads, so that a process stays small whatever the size of the file
(COCO's region features are 33 GB)."""

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lib.data.captions import CAPTIONS_PER_IMAGE
from lib.errors import InputError, first_line

RELEASE_AFTER = 64  # reads of a map after which its pages are released


def open_memmap(path: Path) -> np.memmap:
    """Map a ``.npy`` file of numbers; raises InputError where it is missing, cut short, pickled,
    Fortran-ordered, or not an array of numbers."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.memmap):
            raise ValueError("it is an archive, or holds a single number")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:  # NumPy parses the header with Python's own tokenizer
        reason = "it is cut short" if "mmap length" in str(error) else first_line(error)
        raise InputError(f"{path}: is not a readable .npy file ({reason})") from error
    if array.dtype.kind not in "fiub" or not array.flags.c_contiguous or array.ndim == 0:
        raise InputError(
            f"{path}: holds {array.dtype} of shape {array.shape}, expected float or integer in C "
            "order"
        )
    return array


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
        self._array, self._reads = open_memmap(path), 0
        rows, entry_shape = len(self._array), self._array.shape[1:]
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
        self.shape, self.dtype = self._array.shape, self._array.dtype
        self.stride = rows // images  # 5 where entries are stored per caption row

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, image: int) -> np.ndarray:
        """Image ``image``'s entry, float32. Raises InputError: NaN, infinite or impossible."""
        values = np.array(self._array[image * self.stride], np.float32)
        self._reads += 1
        if self._reads % RELEASE_AFTER == 0 and hasattr(mmap, "MADV_DONTNEED"):
            # The page cache keeps them, the process does not.
            self._array._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]
        problem = None if np.isfinite(values).all() else "NaN or infinite values"
        if problem is None and self._problem is not None:
            problem = self._problem(values)
        if problem is not None:
            raise InputError(
                f"{self.path}: entry {image * self.stride} holds {problem}; "
                "scripts/check_data.py lists all of them"
            )
        return values

    def __getstate__(self) -> dict[str, Any]:  # a worker started afresh maps the file again
        return self.__dict__ | {"_array": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"_array": open_memmap(state["path"])})

    def describe(self) -> str:
        """Shape, dtype and layout in words."""
        per = "per image" if self.stride == 1 else "per caption row, every fifth is read"
        return f"{self.shape} {self.dtype}, one entry {per}"
