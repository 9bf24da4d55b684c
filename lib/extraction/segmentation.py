"""Segmentation arrays as files have them, and panoptic results in COCO's format."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lib.data.pictures import PictureError
from lib.data.segmentation import CATEGORIES, VOID, arrays_of
from lib.errors import InputError, first_line
from lib.extraction.array_output import Shapes
from lib.extraction.categories import NUMBER_OF_COCO_ID
from lib.extraction.file_output import Arrays
from lib.files import read_json


def array_shapes(cells: int, map_size: int, dtype: str) -> Shapes:
    """Name -> shape and dtype of one picture's entry in the files."""
    return {
        "segmentations": ((CATEGORIES, cells, cells), dtype),
        "seg_maps": ((map_size, map_size), "uint8"),
        "cat_onehots": ((CATEGORIES,), dtype),
    }


def stored_arrays(labels: np.ndarray, cells: int, map_size: int, dtype: str) -> Arrays:
    """:func:`arrays_of` in the dtypes of the files."""
    shapes = array_shapes(cells, map_size, dtype)
    found = arrays_of(labels, cells, map_size)
    return {name: array.astype(shapes[name][1]) for name, array in found.items()}


@dataclass(frozen=True)
class PanopticResult:
    """A result in COCO's panoptic format: one PNG per image and one JSON of their segments."""

    png: Path  # folder
    annotations: dict[str, dict[str, Any]]  # image id -> its annotation
    named: dict[str, dict[str, Any]]  # PNG's name without its suffix -> likewise

    def labels(self, image_id: str) -> np.ndarray:
        """An image's label map, (H, W) uint8 UPSNet numbers, 255 where void. Raises PictureError:
        no such image, a broken PNG, or a segment that its annotation lacks."""
        annotation = self.annotations.get(plain_id(image_id)) or self.named.get(image_id)
        if annotation is None:
            raise PictureError("the JSON has no annotation of it")
        path = self.png / annotation["file_name"]
        try:
            with Image.open(path) as picture:
                colours = np.asarray(picture.convert("RGB"), np.int64)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise PictureError(f"{path}: cannot be decoded ({first_line(error)})") from error
        segments = colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]
        number_of = {0: VOID}
        for segment, category in annotation["segments"].items():
            if category not in NUMBER_OF_COCO_ID:
                raise PictureError(f"segment {segment} has category_id {category}, not COCO's")
            number_of[segment] = NUMBER_OF_COCO_ID[category]
        found, where = np.unique(segments, return_inverse=True)
        if unknown := [int(s) for s in found if int(s) not in number_of]:
            raise PictureError(f"{path}: segments {unknown[:5]} are not in its annotation")
        numbers = np.array([number_of[int(s)] for s in found], np.uint8)
        return numbers[where.reshape(segments.shape)]


def plain_id(image_id: object) -> str:
    """COCO writes 139 in its JSON and 000000000139 in file names."""
    text = str(image_id)
    return (text.lstrip("0") or "0") if text.isascii() and text.isdecimal() else text


def open_panoptic(json_path: Path, png: Path) -> PanopticResult:
    """Read a result's JSON and check its shape. Raises InputError: missing, or not panoptic."""
    if not png.is_dir():
        raise InputError(f"{png}: no such folder of panoptic PNGs")
    annotations: dict[str, dict[str, Any]] = {}
    content = read_json(json_path, "result in COCO's panoptic format")
    try:
        for annotation in content["annotations"]:
            segments = {int(s["id"]): int(s["category_id"]) for s in annotation["segments_info"]}
            one = {"file_name": str(annotation["file_name"]), "segments": segments}
            annotations[plain_id(annotation["image_id"])] = one
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{json_path}: is not a result in COCO's panoptic format ({first_line(error)})"
        ) from error
    named = {Path(one["file_name"]).stem: one for one in annotations.values()}
    return PanopticResult(png, annotations, named)
