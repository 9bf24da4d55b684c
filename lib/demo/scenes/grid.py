"""The demo world's grid features: a small convolutional network with fixed random weights.

Three convolutions, 4 x 4 of stride 4 to 32 channels, 3 x 3 of stride 2 to 64, 3 x 3 to img_dim, the
last followed by the maximum of 8 x 8 with stride 4, each by a normalisation of every channel and
ReLU. A 224 x 224 picture becomes 7 x 7 cells of 32 pixels that see 84. Unlike a region, a cell
knows its background, but not where its things end.

The normalisation has constant statistics, like a trained network's BatchNorm: those of 32 pictures
of domain a. Without it nearly all that the cells say is how bright they are."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import batch_norm, conv2d, max_pool2d

from lib.demo.scenes.world import World, render, sample_scenes

NETWORK_SEED = 20240408  # one network for every world: features of two domains are comparable
STATISTICS_PICTURES = 32
Layer = tuple[Tensor, Tensor, Tensor]  # kernel, mean and variance of its outputs per channel


def _pixels(pictures: list[Image.Image]) -> Tensor:
    values = np.stack([np.asarray(picture, np.float32) for picture in pictures]) / 127.5 - 1
    return torch.from_numpy(values).permute(0, 3, 1, 2)


# What comes before the normalisation, layer by layer.
CONVOLVE: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    lambda maps, kernel: conv2d(maps, kernel, stride=4),
    lambda maps, kernel: conv2d(maps, kernel, stride=2, padding=1),
    lambda maps, kernel: max_pool2d(conv2d(maps, kernel, padding=1), 8, stride=4, padding=2),
)


@cache
def _network(img_dim: int) -> tuple[Layer, ...]:
    generator = np.random.default_rng(NETWORK_SEED)
    scenes = sample_scenes(World(), "train", STATISTICS_PICTURES)
    maps = _pixels([render(scene, "a", generator)[0] for scene in scenes])
    shapes = ((32, 3, 4, 4), (64, 32, 3, 3), (img_dim, 64, 3, 3))
    layers = []
    for shape, convolve in zip(shapes, CONVOLVE, strict=True):
        kernel = torch.from_numpy(generator.standard_normal(shape, np.float32))
        outputs = convolve(maps, kernel)
        variance, mean = torch.var_mean(outputs, dim=(0, 2, 3))
        layers.append((kernel, mean, variance))
        maps = batch_norm(outputs, mean, variance).relu()
    return tuple(layers)


def grid_features(picture: Image.Image, img_dim: int) -> np.ndarray:
    """A SIZE x SIZE picture's cells, (7, 7, img_dim) float32, non-negative as a ResNet's."""
    with torch.inference_mode():
        maps = _pixels([picture])
        for (kernel, mean, variance), convolve in zip(_network(img_dim), CONVOLVE, strict=True):
            maps = batch_norm(convolve(maps, kernel), mean, variance).relu()
        return maps[0].permute(1, 2, 0).numpy()
