"""Boxes that a detector has written, in the format of COCO's results: a JSON list, perhaps gzipped,
of ``image_id``, ``bbox`` (x, y, width, height in pixels), ``score`` and ``category_id``."""

import gzip
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from lib.data.pictures import PictureError
from lib.data.segmentation import VOID
from lib.errors import InputError, few, first_line
from lib.extraction.categories import NUMBER_OF_COCO_ID
from lib.extraction.segmentation import plain_id
from lib.files import file_sha256, require_regular

SCORE = 0.3  # least score of a box that is painted
MOST_BYTES = 4 * 2**30  # of the JSON, once it is decompressed


class _Box(TypedDict):
    __pydantic_config__ = ConfigDict(extra="ignore")  # type: ignore[misc]

    image_id: int | str
    bbox: tuple[float, float, float, float]
    score: float
    category_id: Annotated[int, Field(ge=0, le=10**6)]


_BOXES = TypeAdapter(list[_Box])


@dataclass(frozen=True)
class Detections:
    """Boxes by image, highest score first."""

    path: Path
    sha256: str
    boxes: dict[str, np.ndarray]  # id -> (n, 4) float64 left, top, right, bottom in pixels
    scores: dict[str, np.ndarray]  # id -> (n,) float64
    categories: dict[str, np.ndarray]  # id -> (n,) int64, COCO's ids

    def of(self, image_id: str, width: int, height: int) -> np.ndarray:
        """An image's boxes, (n, 4) float64 by falling score, cut to its picture of ``width`` x
        ``height`` pixels; (0, 4) where it has none. Boxes outside it are left out. Raises
        PictureError: most of them are outside it."""
        return self.placed(image_id, width, height)[0]

    def placed(self, image_id: str, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """The boxes of :meth:`of`, and their numbers among the image's."""
        boxes = self.boxes.get(plain_id(image_id), np.zeros((0, 4)))
        cut = boxes.clip(0, (width, height, width, height))
        inside = (cut[:, 2:] > cut[:, :2]).all(axis=1)
        outside = np.flatnonzero(~inside)
        if 2 * len(outside) > len(boxes):
            left, top, right, bottom = boxes[outside[0]]
            box = f"{left:g}, {top:g}, {right - left:g}, {bottom - top:g}"
            raise PictureError(
                f"{self.path.name} has {len(outside)} of its {len(boxes)} boxes outside its "
                f"{width} x {height} pixels, the first {box} (x, y, width, height); are the boxes "
                "of pictures of another size?"
            )
        return cut[inside], np.flatnonzero(inside)

    def labels(self, image_id: str, width: int, height: int, least: float) -> np.ndarray:
        """A label map for an image without masks: its boxes of score ``least`` or more, the highest
        in front; (height, width) uint8 UPSNet numbers, 255 where void. Raises PictureError: a box
        outside the picture, or a category that is not COCO's."""
        image = plain_id(image_id)
        painted = np.full((height, width), VOID, np.uint8)
        boxes, numbers = self.placed(image_id, width, height)
        for box, number in reversed(list(zip(boxes, numbers, strict=True))):
            if self.scores[image][number] < least:
                continue
            category = int(self.categories[image][number])
            if category not in NUMBER_OF_COCO_ID:
                raise PictureError(f"{self.path.name} has category_id {category}, not COCO's")
            left, top, right, bottom = box
            rows = slice(math.floor(top), math.ceil(bottom))
            painted[rows, math.floor(left) : math.ceil(right)] = NUMBER_OF_COCO_ID[category]
        return painted

    def notes(self, image_ids: Iterable[str]) -> list[str]:
        """What the reader should know: boxes of images that no split has, images without boxes.
        Raises InputError: two ids that are one number, so that boxes could be of either."""
        wanted: dict[str, str] = {}
        for image_id in image_ids:
            other = wanted.setdefault(plain_id(image_id), image_id)
            if other != image_id:
                raise InputError(
                    f"{self.path}: cannot tell the images {other} and {image_id} apart, which are "
                    "one number; rename one of the pictures"
                )
        unknown = [image for image in self.boxes if image not in wanted]
        bare = [name for image, name in wanted.items() if image not in self.boxes]
        lines = []
        if unknown:
            lines.append(
                f"{self.path}: boxes of {len(unknown):,} images that are in no split are left out: "
                f"{few(unknown)}"
            )
        if bare:
            lines.append(f"{self.path}: has no box of {len(bare):,} images: {few(bare)}")
        return lines


def read_detections(path: Path) -> Detections:
    """Read a file of boxes. Raises InputError: no such file, not COCO's results, or a box without
    a size."""
    require_regular(path, "boxes")
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            text = file.read(MOST_BYTES)
        entries = _BOXES.validate_json(text)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of boxes") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(
            f"{path}: is no list of COCO's results, {{image_id, bbox, score, category_id}} "
            f"({where}: {first['msg']})"
        ) from None
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: cannot be read ({first_line(error)})") from error
    rows: dict[str, list[tuple[float, ...]]] = {}
    for number, entry in enumerate(entries):
        x, y, width, height = box = entry["bbox"]
        if not (all(map(math.isfinite, (*box, entry["score"]))) and width > 0 and height > 0):
            raise InputError(
                f"{path}: box {number} is {list(box)} with score {entry['score']}, expected x, y, "
                "and a width and height above 0"
            )
        row = (x, y, x + width, y + height, entry["score"], entry["category_id"])
        rows.setdefault(plain_id(entry["image_id"]), []).append(row)
    tables = {image: np.array(sorted(r, key=lambda row: -row[4])) for image, r in rows.items()}
    return Detections(
        path,
        file_sha256(path),
        {image: table[:, :4] for image, table in tables.items()},
        {image: table[:, 4] for image, table in tables.items()},
        {image: table[:, 5].astype(np.int64) for image, table in tables.items()},
    )
