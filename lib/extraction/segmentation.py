"""From a panoptic label map to a dataset's three segmentation arrays.

The release gives the arrays' shapes and their source (UPSNet) but not the recipe of
``segmentations``; it is inferred from DIFNet's features of the same shape and source: the share of
each of 7 x 7 cells that a category covers. The recipe stands in :func:`arrays_of` alone.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import adaptive_avg_pool2d

from lib.data.pictures import PictureError
from lib.errors import InputError, first_line
from lib.extraction.categories import CATEGORIES, NUMBER_OF_COCO_ID, VOID

CELLS = 7
MAP_SIZE = 64


def arrays_of(
    labels: np.ndarray, cells: int = CELLS, map_size: int = MAP_SIZE
) -> dict[str, np.ndarray]:
    """The three arrays of one picture.

    Args:
        labels: (H, W) uint8 UPSNet numbers, 255 where void; any size.
        cells: side of the grid of shares.
        map_size: side of the reduced label map.

    Returns:
        ``segmentations`` (133, cells, cells) float32, shares in [0, 1] (adaptive average of each
        category's mask); ``seg_maps`` (map_size, map_size) uint8, nearest neighbour;
        ``cat_onehots`` (133,) float32, one where a category has at least one pixel.
    """
    present = np.unique(labels)
    present = present[present != VOID]
    shares = np.zeros((CATEGORIES, cells, cells), np.float32)
    if len(present):
        masks = torch.from_numpy(labels[None] == present[:, None, None]).float()
        shares[present] = adaptive_avg_pool2d(masks, cells).numpy()
    side = (map_size, map_size)
    reduced = np.array(Image.fromarray(labels).resize(side, Image.Resampling.NEAREST))
    onehots = np.zeros(CATEGORIES, np.float32)
    onehots[present] = 1
    return {"segmentations": shares, "seg_maps": reduced, "cat_onehots": onehots}


def array_shapes(cells: int, map_size: int, dtype: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """Name -> shape and dtype of one picture's entry in the files."""
    return {
        "segmentations": ((CATEGORIES, cells, cells), dtype),
        "seg_maps": ((map_size, map_size), "uint8"),
        "cat_onehots": ((CATEGORIES,), dtype),
    }


def stored_arrays(
    labels: np.ndarray, cells: int, map_size: int, dtype: str
) -> dict[str, np.ndarray]:
    """:func:`arrays_of` in the dtypes of the files."""
    arrays = arrays_of(labels, cells, map_size)
    shapes = array_shapes(cells, map_size, dtype)
    return {name: array.astype(shapes[name][1]) for name, array in arrays.items()}


@dataclass(frozen=True)
class PanopticResult:
    """A result in COCO's panoptic format: one PNG per image and one JSON of their segments."""

    png: Path  # folder
    annotations: dict[str, dict[str, Any]]  # image id -> its annotation
    named: dict[str, dict[str, Any]]  # PNG's name without its suffix -> likewise

    def labels(self, image_id: str) -> np.ndarray:
        """An image's label map, (H, W) uint8 UPSNet numbers, 255 where void. Raises PictureError:
        no such image, a broken PNG, or a segment that its annotation lacks."""
        annotation = self.annotations.get(_plain_id(image_id)) or self.named.get(image_id)
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
        unknown = [int(s) for s in found if int(s) not in number_of]
        if unknown:
            raise PictureError(f"{path}: segments {unknown[:5]} are not in its annotation")
        numbers = np.array([number_of[int(s)] for s in found], np.uint8)
        return numbers[where.reshape(segments.shape)]


def _plain_id(image_id: object) -> str:
    """COCO writes 139 in its JSON and 000000000139 in file names."""
    text = str(image_id)
    return str(int(text)) if text.isdecimal() else text


def open_panoptic(json_path: Path, png: Path) -> PanopticResult:
    """Read a result's JSON and check its shape. Raises InputError: a missing file or folder, or no
    panoptic annotations."""
    if not png.is_dir():
        raise InputError(f"{png}: no such folder of panoptic PNGs")
    annotations: dict[str, dict[str, Any]] = {}
    try:
        for annotation in json.loads(json_path.read_text(encoding="utf-8"))["annotations"]:
            segments = {int(s["id"]): int(s["category_id"]) for s in annotation["segments_info"]}
            one = {"file_name": str(annotation["file_name"]), "segments": segments}
            annotations[_plain_id(annotation["image_id"])] = one
    except OSError as error:
        raise InputError(f"{json_path}: cannot be read ({first_line(error)})") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{json_path}: is not a result in COCO's panoptic format ({first_line(error)})"
        ) from error
    named = {Path(one["file_name"]).stem: one for one in annotations.values()}
    return PanopticResult(png, annotations, named)
