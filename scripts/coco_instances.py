"""COCO's annotations, captions and instance masks, to inputs that the other commands take."""

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


def panoptic_of(picture: Annotated) -> tuple[np.ndarray, list[dict[str, int]]]:
    """Instances to a panoptic result, the smaller ones in front; all else stays void.

    Returns:
        (H, W, 3) uint8, a segment's id in its colour as COCO's panoptic PNGs have it, and
        ``segments_info`` of the segments that are to be seen.

    Raises ValueError: a mask or category that is not COCO's.
    """
    masks = []
    for instance in picture.instances:
        if instance.get("category_id") not in NUMBER_OF_COCO_ID:
            raise ValueError(f"category_id {instance.get('category_id')!r} is not one of COCO's")
        mask = mask_of(instance["segmentation"], picture.width, picture.height)
        masks.append((mask, int(instance["category_id"])))
    masks.sort(key=lambda pair: -int(pair[0].sum()))
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
