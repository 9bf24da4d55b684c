"""How a backbone's weights want a picture's pixels: channel order, scale, mean and deviation."""

from dataclasses import dataclass

import torch
from torch import Tensor

IMAGENET = "imagenet"  # stands for torchvision's own weights


@dataclass(frozen=True)
class Normalisation:
    """What becomes of 8-bit RGB before a backbone."""

    bgr: bool
    scale: float  # of 0..255 before the mean is taken off
    mean: tuple[float, float, float]  # in the order of the channels
    std: tuple[float, float, float]

    def normalise(self, pixels: Tensor) -> Tensor:
        """(..., 3, H, W) uint8 RGB -> the same shape, float32, in the network's channel order."""
        pixels = pixels.flip(-3) if self.bgr else pixels
        mean, std = (
            torch.tensor(v, device=pixels.device)[:, None, None] for v in (self.mean, self.std)
        )
        return (pixels.float() * self.scale - mean) / std


DETECTRON2 = Normalisation(True, 1.0, (103.530, 116.280, 123.675), (57.375, 57.120, 58.395))
TORCHVISION = Normalisation(False, 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def normalisation_of(weights: str) -> Normalisation:
    """What weights were trained with: torchvision's own, or else a Detectron2 file."""
    return TORCHVISION if weights == IMAGENET else DETECTRON2
