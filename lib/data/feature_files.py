"""Region or grid features in one file per image, as grid-feats-vqa and COCO's regions come.

A grid's cells are pooled to 7 x 7 by adaptive averages."""

from pathlib import Path

import numpy as np
import torch

from lib.config import FeaturesConfig
from lib.data.layouts import map_of, rows_of
from lib.data.memmap import read_header, sample
from lib.errors import InputError, first_line
from lib.files import file_sha256, text_sha256
from lib.weights import read_torch

SUFFIXES = (".npy", ".pth")


class FeatureFiles:
    """``files[i]`` is image i's rows, read from ``<id>.npy`` or ``<id>.pth`` when asked."""

    def __init__(self, folder: Path, image_ids: list[str], img_dim: int, features: FeaturesConfig):
        """Find every image's file; read and check the first one, the others when they are read.
        Layouts are told apart by ``img_dim``, the channels of a region or cell; ``type``,
        ``regions`` and ``grid_size`` say what a file must hold and become. Raises InputError: no
        such folder, a missing file, two files of one image, or a wrong layout."""
        self.folder, self.img_dim, self.features = folder, img_dim, features
        self.image_ids = image_ids
        try:
            present = {path.name for path in folder.iterdir()}
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"{folder}: no such folder of features") from None
        except OSError as error:
            raise InputError(f"{folder}: cannot be listed ({first_line(error)})") from error
        self.suffixes = []  # names alone would take 100 bytes per image in every worker
        for name in image_ids:
            found = [suffix for suffix in SUFFIXES if name + suffix in present]
            if not found:
                raise InputError(f"{folder}: lacks {name}.npy (or .pth), image {name}'s features")
            if len(found) > 1:
                raise InputError(f"{folder}: holds {name}.npy and {name}.pth; keep one of the two")
            self.suffixes.append(found[0])
        loaded = read_features(self.path(0))
        self.first_shape, self.first_dtype = loaded.shape, loaded.dtype
        rows_of(self.path(0), loaded, img_dim, features)

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, image: int) -> np.ndarray:
        """Image ``image``'s rows, (K, img_dim) float32; a map's cells row by row. Raises
        InputError: unreadable, of another layout, or NaN or infinite values."""
        rows = rows_of(
            self.path(image), read_features(self.path(image)), self.img_dim, self.features
        )
        if not np.isfinite(rows).all():
            raise InputError(f"{self.path(image)}: holds NaN or infinite values")
        return rows

    def map_size(self, image: int) -> tuple[int, int]:
        """Rows and columns of image ``image``'s map; a list of cells has a single row."""
        array = read_features(self.path(image))
        shape = array.shape
        if array.ndim != 2:
            shape = map_of(self.path(image), array, self.img_dim, self.features).shape
        return (1, shape[0]) if len(shape) == 2 else shape[:2]

    def path(self, image: int) -> Path:
        """Image ``image``'s file."""
        return self.folder / (self.image_ids[image] + self.suffixes[image])

    def sources_sha256(self) -> str:
        """A checksum of names, sizes and times of change. Raises InputError: a file is gone."""
        try:
            files = [(path.name, path.stat()) for path in map(self.path, range(len(self)))]
        except OSError as error:
            raise InputError(f"{self.folder}: a file cannot be read ({error})") from error
        return text_sha256([f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in files])

    def fingerprint(self) -> str:
        """A checksum of all names and of a sample's content, to tell whether they have changed.
        Raises InputError: a file cannot be read."""
        names = [self.path(image).name for image in range(len(self))]
        return text_sha256([*names, *(file_sha256(self.path(i)) for i in sample(len(self)))])

    def describe(self) -> str:
        """Number of files, shape and dtype of the first, and what becomes of it."""
        size = self.features.grid_size if self.features.type == "grid" else None
        pooled = f", cells pooled to {size} x {size}" if size is not None else ""
        return f"{len(self):,} files, the first {self.first_shape} {self.first_dtype}{pooled}"


def read_features(path: Path) -> np.ndarray:
    """One image's features as a ``.npy`` or ``.pth`` file has them. Raises InputError: it cannot be
    read."""
    try:
        if path.suffix == ".pth":
            tensor = read_torch(path, "tensor", verify=False)
            # NumPy has no bfloat16.
            return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        read_header(path)  # what does not fit its size is never made room for
        return np.load(path, allow_pickle=False)
    except InputError:
        raise
    except Exception as error:  # damaged files fail inside torch and NumPy in many ways
        reason = first_line(error)
        raise InputError(f"{path}: cannot be read as one array ({reason})") from error
