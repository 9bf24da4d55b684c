"""Arrays of a split, read image by image: one mapped file, or one small file per image.

A mapped file's pages are given back as reading goes on, so that a process stays small whatever the
size of the file (COCO's region features are 33 GB).
"""

import mmap
import os
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from lib.errors import InputError, first_line

CAPTIONS_PER_IMAGE = 5
RELEASE_AFTER = 64  # entries read from a map before its pages are given back


class Entries(Protocol):
    """One entry per image, read when asked: what the two classes below share."""

    def __len__(self) -> int: ...
    def __getitem__(self, image: int) -> np.ndarray: ...
    def describe(self) -> str: ...


class MappedArray:
    """One array of a split: ``array[i]`` is image i's entry as float32, read from the disk."""

    def __init__(self, path: Path, images: int, shape: tuple[int | None, ...], meaning: str):
        """Open and check an array.

        Args:
            path: a ``.npy`` file of any float or integer dtype.
            images: number of images in the split, n; the array holds n or 5n entries.
            shape: expected shape of one entry; None is any size from 1.
            meaning: what the axes are, for errors.

        Raises:
            InputError: missing, cut short, pickled, or of another count, shape or dtype.
        """
        self.path = path
        entry, self.dtype = self._read_header()
        rows, self.entry_shape = entry[0], tuple(entry[1:])
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        if rows not in (images, CAPTIONS_PER_IMAGE * images):
            raise InputError(
                f"{path}: holds {rows} entries, expected {images} (one per image) or "
                f"{CAPTIONS_PER_IMAGE * images} (one per caption)"
            )
        fits = len(shape) == len(self.entry_shape) and all(
            found >= 1 and size in (None, found)
            for size, found in zip(shape, self.entry_shape, strict=True)
        )
        if not fits:
            raise InputError(
                f"{path}: holds entries of shape {self.entry_shape}, expected ({wanted}): {meaning}"
            )
        self.images = images
        self.stride = rows // images  # 5 where entries are stored per caption row
        self._shape = (rows, *self.entry_shape)
        self._open()

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, image: int) -> np.ndarray:
        """Image ``image``'s entry, float32.

        Raises:
            InputError: NaN or infinite values, naming file and entry.
        """
        values = self._array[image * self.stride].astype(np.float32)
        self._reads += 1
        if self._reads % RELEASE_AFTER == 0 and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)  # the page cache keeps them, the process not
        if not np.isfinite(values).all():
            raise InputError(
                f"{self.path}: entry {image * self.stride} holds NaN or infinite values; "
                "scripts/check_data.py lists all of them"
            )
        return values

    def describe(self) -> str:
        """Shape, dtype and layout in words."""
        per = "per image" if self.stride == 1 else "per caption row, every fifth is read"
        return f"{self._shape} {self.dtype}, one entry {per}"

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
        self._array = np.ndarray(self._shape, self.dtype, self._map, self._offset)

    def __getstate__(self) -> dict:
        return {k: v for k, v in self.__dict__.items() if k not in ("_map", "_array")}

    def __setstate__(self, state: dict) -> None:  # a worker started afresh maps the file again
        self.__dict__.update(state)
        self._open()


class FeatureFolder:
    """Region or grid features in one file per image, ``<id>.npy`` or ``<id>.pth``."""

    def __init__(self, folder: Path, image_ids: list[str], img_dim: int, regions: int | None):
        """Find every image's file; read and check the first one, the others when they are read.

        Raises:
            InputError: no such folder, a missing file, or the first file's layout is wrong.
        """
        self.folder, self.img_dim, self.regions = folder, img_dim, regions
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of features")
        present = {entry.name for entry in os.scandir(folder)}
        self.paths = []
        for image_id in image_ids:
            name = next((image_id + s for s in (".npy", ".pth") if image_id + s in present), None)
            if name is None:
                raise InputError(
                    f"{folder}: lacks {image_id}.npy (or .pth), the features of image {image_id}"
                )
            self.paths.append(folder / name)
        self.first_shape, self.dtype = (loaded := self._load(0)).shape, loaded.dtype
        self._rows(0, loaded)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, image: int) -> np.ndarray:
        """Image ``image``'s rows, (K, img_dim) float32.

        Raises:
            InputError: unreadable, of another layout, or NaN or infinite values.
        """
        rows = self._rows(image, self._load(image))
        if not np.isfinite(rows).all():
            raise InputError(f"{self.paths[image]}: holds NaN or infinite values")
        return rows

    def describe(self) -> str:
        """Number of files, shape and dtype of the first."""
        return f"{len(self)} files, the first {self.first_shape} {self.dtype}"

    def _load(self, image: int) -> np.ndarray:
        path = self.paths[image]
        try:
            if path.suffix == ".pth":
                tensor = torch.load(path, map_location="cpu", weights_only=True)
                return tensor.float().numpy()
            array = np.load(path, allow_pickle=False)
            if not isinstance(array, np.ndarray):
                raise ValueError("it holds several arrays")
            return array
        except Exception as error:  # damaged files fail inside torch and NumPy in many ways
            raise InputError(
                f"{path}: cannot be read as one array ({first_line(error)})"
            ) from error

    def _rows(self, image: int, array: np.ndarray) -> np.ndarray:
        """(K, C), (H, W, C), (C, H, W) or (1, C, H, W) -> (K, C) float32, told by ``img_dim``."""
        path, shape = self.paths[image], array.shape
        if array.ndim == 4 and len(array) == 1:
            array = array[0]
        if array.ndim == 3 and array.shape[0] == array.shape[2] == self.img_dim:
            raise InputError(f"{path}: shape {shape} could be (H, W, C) or (C, H, W); store (K, C)")
        if array.ndim == 3 and array.shape[0] == self.img_dim:
            array = array.reshape(self.img_dim, -1).T
        elif array.ndim == 3:
            array = array.reshape(-1, array.shape[2])
        if array.ndim != 2 or array.shape[1] != self.img_dim or array.dtype.kind not in "fiu":
            raise InputError(
                f"{path}: holds {array.dtype} of shape {shape}, expected numbers of shape (K, C), "
                f"(H, W, C), (C, H, W) or (1, C, H, W) with C = {self.img_dim} (model.img_dim)"
            )
        if len(array) == 0 or self.regions not in (None, len(array)):
            wanted = self.regions or "at least 1"
            raise InputError(f"{path}: holds {len(array)} rows, expected {wanted}")
        return np.ascontiguousarray(array, np.float32)
