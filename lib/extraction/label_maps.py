"""Label maps of a whole data set in one file, an ``.npz`` of ``labels`` and ``ids``."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.data.pictures import PictureError
from lib.data.segmentation import CATEGORIES, VOID
from lib.errors import InputError, first_line
from lib.extraction.segmentation import plain_id
from lib.files import file_sha256, require_regular

MOST_BYTES = 64 * 10**9  # of the maps, once they are decompressed


@dataclass(frozen=True)
class LabelMaps:
    """Label maps by image."""

    path: Path
    sha256: str
    maps: np.ndarray  # (n, H, W) uint8 UPSNet numbers, 255 where void
    numbers: dict[str, int]  # id -> row

    def labels(self, image_id: str) -> np.ndarray:
        """An image's label map, (H, W) uint8. Raises PictureError: there is none, or a label is no
        category."""
        number = self.numbers.get(plain_id(image_id))
        if number is None:
            raise PictureError(f"{self.path.name} has no label map of it")
        found = self.maps[number]
        if len(wrong := found[(found >= CATEGORIES) & (found != VOID)]):
            raise PictureError(
                f"{self.path.name} has the label {wrong[0]}, expected 0 to {CATEGORIES - 1}, or "
                f"{VOID} where void"
            )
        return found


def read_label_maps(path: Path) -> LabelMaps:
    """Read ``labels``, (n, H, W) uint8, and ``ids``, (n,) text. Raises InputError: no such file, or
    other arrays."""
    require_regular(path, "label maps")
    try:
        with zipfile.ZipFile(path) as file:
            if sum(member.file_size for member in file.infolist()) > MOST_BYTES:
                raise InputError(f"{path}: holds more than {MOST_BYTES / 1e9:g} GB")
        with np.load(path, allow_pickle=False) as arrays:
            maps, ids = arrays["labels"], arrays["ids"]
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of label maps") from None
    except Exception as error:  # damaged archives fail in ways that NumPy does not list
        raise InputError(
            f"{path}: cannot be read as an .npz of labels and ids ({first_line(error)})"
        ) from error
    if maps.dtype != np.uint8 or maps.ndim != 3 or ids.shape != maps.shape[:1] or 0 in maps.shape:
        raise InputError(
            f"{path}: labels are {maps.dtype} {maps.shape} and ids {ids.shape}, expected uint8 "
            "(n, H, W) and (n,)"
        )
    if ids.dtype.kind not in "Uiu":
        raise InputError(f"{path}: ids are {ids.dtype}, expected text or integers")
    numbers = {plain_id(name): number for number, name in enumerate(ids.tolist())}
    if len(numbers) < len(ids):
        raise InputError(f"{path}: has an id twice")
    return LabelMaps(path, file_sha256(path), maps, numbers)
