"""The demo world's region features, from pixels."""

from functools import cache

import numpy as np
from PIL import Image

from lib.data.segmentation import VOID
from lib.demo.scenes.canvas import SIZE, Box

FIRST_THING = 53  # UPSNet numbers stuff 0..52, things 53..132
PATCH = 12  # pixels of a region's side before the transform
TRANSFORM_SEED = 20240407  # one transform for every world: features of two domains are comparable
NOISE = 0.25  # standard deviation, where the features' own is about one


def propose_boxes(
    things: list[Box], count: int, generator: np.random.Generator
) -> tuple[list[Box], np.ndarray]:
    """Boxes around things, about four each, filled up with random boxes and shuffled; and (count,)
    int64, the thing that each is around, -1 for a random one."""
    boxes = []
    for left, top, right, bottom in things * 4:
        jitter = generator.uniform(-0.12, 0.12, 4) * (right - left)
        boxes.append(tuple(np.clip(np.add((left, top, right, bottom), jitter), 0.0, 1.0)))
    boxes = boxes[:count]
    while len(boxes) < count:
        width, height = generator.uniform(0.15, 0.5, 2)
        left, top = generator.uniform(0, 1 - width), generator.uniform(0, 1 - height)
        boxes.append((left, top, left + width, top + height))
    order = generator.permutation(count)
    around = np.full(count, -1)
    known = min(4 * len(things), count)
    around[:known] = np.arange(known) % max(len(things), 1)
    return [boxes[i] for i in order], around[order]


@cache
def _transform(inputs: int, outputs: int) -> np.ndarray:
    generator = np.random.default_rng(TRANSFORM_SEED)
    matrix = generator.standard_normal((outputs, inputs), np.float32).T
    return np.ascontiguousarray(matrix / np.float32(np.sqrt(inputs) / 2))


def region_features(
    picture: Image.Image,
    labels: np.ndarray,
    boxes: list[Box],
    img_dim: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Features of boxes from their pixels, (K, img_dim) float32, non-negative as a detector's.
    Stuff is greyed out, each box resized to 12 x 12, its values scaled to -1..1, multiplied by a
    fixed random matrix, cut at zero, and disturbed by noise."""
    pixels = np.array(picture)
    pixels[(labels < FIRST_THING) | (labels == VOID)] = 128
    greyed = Image.fromarray(pixels)
    size, how = (PATCH, PATCH), Image.Resampling.BILINEAR
    patches = [
        greyed.resize(size, how, (SIZE * left, SIZE * top, SIZE * right, SIZE * bottom))
        for left, top, right, bottom in boxes
    ]
    values = np.stack([np.asarray(p, np.float32).ravel() for p in patches]) / 127.5 - 1
    features = values @ _transform(values.shape[1], img_dim)
    noise = generator.standard_normal(features.shape, np.float32) * np.float32(NOISE)
    return np.maximum(features + noise, 0)
