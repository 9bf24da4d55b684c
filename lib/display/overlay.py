"""Highlight maps over pictures, in the colours of the explorer's page."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from lib.display.gallery import Shown

STRENGTH = 0.6  # of the strongest colour over the picture
BELOW, LOW, HIGH = (36, 87, 197), (255, 225, 60), (165, 0, 0)


@dataclass(frozen=True)
class Layer:
    """Values of regions, and what they are."""

    name: str
    values: np.ndarray  # (K,) float


def pair_layer(shown: Shown) -> Layer | None:
    """What says most of a pair: what each region adds to its score, or, in a family that scores
    pairs, how the words attend on average; None: the family shows nothing of the kind."""
    maps = shown.maps
    real = maps.mask[0].numpy(force=True)
    if adding := [name for name in maps.regions if name.startswith("score")]:
        return Layer(adding[0], maps.regions[adding[0]][0].numpy(force=True)[real])
    if maps.attention:
        name = list(maps.attention)[-1]
        weights = maps.attention[name][0, : len(shown.pieces)].numpy(force=True)[:, real]
        if not alike(mean := weights.mean(axis=0)):
            return Layer(f"{name}, mean of the words", mean)
        # Each region spends the same on all words together: what it spends on one tells.
        return Layer(f"{name}, most of a word", weights.max(axis=0))
    return None


def alike(values: np.ndarray) -> bool:
    """Whether values differ by no more than they are rounded."""
    return bool(np.ptp(values) <= 1e-5 * np.abs(values).max())


def relative(values: np.ndarray) -> np.ndarray:
    """Values -> -1 to 1 where some are below zero, else 0 (the least) to 1; 0.5: all alike."""
    low, high = float(values.min()), float(values.max())
    if low < 0:
        return values / max(high, -low)
    return np.full_like(values, 0.5) if alike(values) else (values - low) / (high - low)


def region_heat(values: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(K,) values and (K, 4) boxes, as shares of the sides -> (height, width) in [-1, 1]; where
    boxes overlap, the strongest counts, and zero where there is none."""
    width, height = size
    heat = np.zeros((height, width))
    strength = relative(values)
    for i in np.argsort(np.abs(strength), kind="stable"):
        left, top, right, bottom = (boxes[i] * (width, height, width, height)).round().astype(int)
        heat[top : max(bottom, top + 1), left : max(right, left + 1)] = strength[i]
    return heat


def over(picture: Image.Image, heat: np.ndarray) -> Image.Image:
    """A picture under (height, width) heat in [-1, 1]: yellow to red above zero, blue below."""
    share = np.abs(heat)[..., None]
    warm = np.asarray(LOW) * (1 - share) + np.asarray(HIGH) * share
    colour = np.where(heat[..., None] < 0, np.asarray(BELOW), warm)
    alpha = STRENGTH * share
    mixed = np.asarray(picture, np.float64) * (1 - alpha) + colour * alpha
    return Image.fromarray(mixed.round().astype(np.uint8))
