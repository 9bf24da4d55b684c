"""The panoptic label map as a picture, and the names of its categories."""

import colorsys

import numpy as np
from PIL import Image

from lib.data.segmentation import CATEGORIES, VOID
from lib.extraction.categories import NAMES

GOLDEN = 0.618033988749895  # neighbours in number get hues far apart


def colour_of(category: int) -> tuple[int, int, int]:
    """RGB of a category; void is grey."""
    if category == VOID:
        return 128, 128, 128
    value = 0.95 if category % 2 else 0.7
    red, green, blue = colorsys.hsv_to_rgb(category * GOLDEN % 1, 0.65, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def label_picture(labels: np.ndarray) -> Image.Image:
    """(S, S) category numbers -> an RGB picture of S x S pixels."""
    numbers = labels.astype(np.int64)
    table = np.zeros((256, 3), np.uint8)
    for category in np.unique(numbers):
        table[category] = colour_of(int(category))
    return Image.fromarray(table[numbers])


def legend(labels: np.ndarray) -> list[tuple[str, str, float]]:
    """Name, colour as #rrggbb, and share of the map, of each category in it, largest first. Names
    are COCO's where there are as many categories."""
    numbers, counts = np.unique(labels.astype(np.int64), return_counts=True)
    found = []
    for category, count in sorted(zip(numbers, counts, strict=True), key=lambda pair: -pair[1]):
        known = category < CATEGORIES == len(NAMES)
        name = "void" if category == VOID else NAMES[category] if known else f"number {category}"
        found.append(
            (name, "#{:02x}{:02x}{:02x}".format(*colour_of(int(category))), count / labels.size)
        )
    return found
