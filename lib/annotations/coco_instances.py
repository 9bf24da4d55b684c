"""COCO's annotations, captions and instance masks, to inputs that the other commands take."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from lib.errors import InputError, first_line
from lib.extraction.categories import NUMBER_OF_COCO_ID
from lib.files import read_json

SIDE = 65_500  # most pixels of a picture's side


@dataclass(frozen=True)
class Annotated:
    """A picture with what is known of it."""

    image_id: int
    file_name: str
    width: int  # pixels
    height: int
    captions: list[str] = field(default_factory=list)
    # COCO's category_id and segmentation
    instances: list[dict[str, Any]] = field(default_factory=list)


def read_annotations(paths: Iterable[Path]) -> list[Annotated]:
    """Pictures of COCO's JSON files, in the order of their first appearance.

    Args:
        paths: such as ``captions_val2017.json`` and ``instances_val2017.json``: ``images[]`` with
            ``id``, ``file_name``, ``width``, ``height``, and ``annotations[]`` with ``image_id``;
            or ``images[]`` that hold their own ``captions[]`` and ``instances[]``.

    Raises InputError: a file cannot be read or is not one of these.
    """
    pictures: dict[int, Annotated] = {}
    for path in paths:
        content = read_json(path, "annotation file of COCO")
        try:
            for image in content["images"]:
                image_id, width, height = (int(image[k]) for k in ("id", "width", "height"))
                if not (0 < width <= SIDE and 0 < height <= SIDE):
                    raise ValueError(f"image {image_id} is {width} x {height} pixels")
                new = Annotated(image_id, str(image["file_name"]), width, height)
                picture = pictures.setdefault(image_id, new)
                picture.captions.extend(map(str, image.get("captions", ())))
                picture.instances.extend(image.get("instances", ()))
            for annotation in content.get("annotations", ()):
                picture = pictures[annotation["image_id"]]
                if "caption" in annotation:
                    picture.captions.append(str(annotation["caption"]))
                else:
                    picture.instances.append(annotation)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise InputError(
                f"{path}: is not one of COCO's annotation files, which hold images[] of id, "
                f"file_name, width and height ({type(error).__name__}: {first_line(error)})"
            ) from error
    return list(pictures.values())


def captions_of(path: Path) -> dict[str, list[str]]:
    """File name -> captions of each picture of COCO's captions that has some. Raises InputError:
    the file cannot be read, holds none, or two pictures have one name."""
    found: dict[str, list[str]] = {}
    for picture in read_annotations([path]):
        if picture.file_name in found:
            raise InputError(f"{path}: two pictures are called {picture.file_name}")
        if captions := [" ".join(caption.split()) for caption in picture.captions]:
            found[picture.file_name] = list(filter(None, captions))
    if not any(found.values()):
        raise InputError(f"{path}: holds no caption")
    return {name: captions for name, captions in found.items() if captions}


def mask_of(segmentation: Any, width: int, height: int) -> np.ndarray:
    """COCO's polygons, or run lengths of a crowd -> (height, width) bool. Raises ValueError:
    neither, or run lengths of another size."""
    if isinstance(segmentation, dict):
        runs = np.array(segmentation["counts"], np.int64)  # column by column, beginning with zeros
        if (runs < 0).any() or runs.sum() != height * width:
            raise ValueError(f"run lengths of {runs.sum()} pixels for {width} x {height}")
        values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        if tuple(segmentation["size"]) != (height, width) or len(values) != height * width:
            raise ValueError(f"run lengths of {len(values)} pixels for {width} x {height}")
        return values.reshape(width, height).T
    mask = Image.new("1", (width, height))
    for polygon in segmentation:
        ImageDraw.Draw(mask).polygon([float(number) for number in polygon], fill=1)
    return np.array(mask)


def box_mask(box: Any, width: int, height: int) -> np.ndarray:
    """COCO's box, x, y, width, height -> (height, width) bool. Raises ValueError: no box, or one
    outside the picture."""
    if not _is_box(box):
        raise ValueError(f"an instance has no mask and the box {box!r}")
    left, top, wide, high = map(float, box)
    rows = slice(max(0, math.floor(top)), max(0, math.ceil(top + high)))
    columns = slice(max(0, math.floor(left)), max(0, math.ceil(left + wide)))
    mask = np.zeros((height, width), bool)
    mask[rows, columns] = True
    if not mask.any():
        raise ValueError(f"the box {list(box)} is outside its {width} x {height} pixels")
    return mask


def _is_box(value: Any) -> bool:
    numbers = isinstance(value, list | tuple) and len(value) == 4
    return numbers and all(isinstance(v, int | float) and math.isfinite(v) for v in value)


def box_of(instance: dict[str, Any], width: int, height: int) -> list[float] | None:
    """An instance's box, x, y, width, height in pixels, cut to the picture: its own, or what holds
    its mask; None where nothing of it is in the picture. Raises ValueError: it has neither."""
    own: Any = instance.get("bbox")
    if _is_box(own):
        x, y, wide, high = map(float, own)
    elif not instance.get("segmentation"):
        raise ValueError(f"an instance has no mask and the box {own!r}")
    else:
        mask = mask_of(instance["segmentation"], width, height)
        if not mask.any():
            return None
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        x, y = float(columns[0]), float(rows[0])
        wide, high = float(columns[-1] + 1 - x), float(rows[-1] + 1 - y)
    left, top = max(x, 0.0), max(y, 0.0)
    wide, high = min(x + wide, width) - left, min(y + high, height) - top
    return [left, top, wide, high] if wide > 0 and high > 0 else None


def panoptic_of(picture: Annotated) -> tuple[np.ndarray, list[dict[str, int]]]:
    """Instances to a panoptic result, the smaller ones in front; all else stays void. Those without
    a mask are painted as their boxes, behind all masks, the highest score in front.

    Returns:
        (H, W, 3) uint8, a segment's id in its colour as COCO's panoptic PNGs have it, and
        ``segments_info`` of the segments that are to be seen.

    Raises ValueError: a mask or category that is not COCO's.
    """
    masks, boxes = [], []
    for instance in picture.instances:
        if instance.get("category_id") not in NUMBER_OF_COCO_ID:
            raise ValueError(f"category_id {instance.get('category_id')!r} is not one of COCO's")
        category, size = int(instance["category_id"]), (picture.width, picture.height)
        if instance.get("segmentation"):
            masks.append((mask_of(instance["segmentation"], *size), category))
        else:
            score = float(instance.get("score", 1))
            boxes.append((score, box_mask(instance.get("bbox"), *size), category))
    masks.sort(key=lambda pair: -int(pair[0].sum()))
    boxes.sort(key=lambda entry: entry[0])
    masks = [(mask, category) for _, mask, category in boxes] + masks
    segments = np.zeros((picture.height, picture.width), np.int64)
    for number, (mask, _) in enumerate(masks, 1):
        segments[mask] = number
    colours = np.stack([segments >> shift & 255 for shift in (0, 8, 16)], axis=-1)
    infos = [
        {"id": number, "category_id": category, "area": area}
        for number, (_, category) in enumerate(masks, 1)
        if (area := int((segments == number).sum()))
    ]
    return colours.astype(np.uint8), infos
