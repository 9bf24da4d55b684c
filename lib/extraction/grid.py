"""Grid features as grid-feats-vqa's X-101 makes them, with torchvision's ResNeXt-101 32x8d.

Features are the output of the last stage, res5, (2048, H / 32, W / 32)."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lib.files import file_sha256
from lib.models.common.backbone import Backbone, Normalisation, normalisation_of
from lib.models.common.backbone_weights import IMAGENET, X101, imagenet_file, load_backbone

CHANNELS = 2048
SHORTEST, LONGEST = 600, 1000  # pixels of a picture's sides before the network
LEAST = 64  # likewise: two cells, so that a ribbon's map is no mere row of cells


def resized(size: tuple[int, int], shortest: int, longest: int) -> tuple[int, int]:
    """(width, height) whose shorter side becomes ``shortest``, unless the longer would exceed
    ``longest``; a ribbon whose shorter side would get less than LEAST pixels is widened."""
    width, height = size
    scale = min(shortest / min(size), longest / max(size))
    least = min(LEAST, shortest)
    return max(least, round(width * scale)), max(least, round(height * scale))


@dataclass(frozen=True)
class Preprocessing(Normalisation):
    """What happens to a picture before the network."""

    shortest: int = SHORTEST
    longest: int = LONGEST

    def resize(self, picture: Image.Image) -> Tensor:
        """An RGB picture -> (3, H, W) uint8, at the size that the network sees."""
        size = resized(picture.size, self.shortest, self.longest)
        pixels = np.array(picture.resize(size, Image.Resampling.BILINEAR))
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


@dataclass(frozen=True)
class GridExtractor:
    """A backbone with what its weights want."""

    backbone: Backbone
    preprocessing: Preprocessing
    weights: str  # the file's name, or what stands in for one
    sha256: str | None


def load_extractor(weights: str) -> GridExtractor:
    """Build the network and load its weights, all of them or none: of a Detectron2 file like
    X-101.pth, ``imagenet`` or ``random``, as
    :func:`lib.models.common.backbone_weights.load_backbone` does."""
    torch.manual_seed(0)
    backbone = load_backbone(X101, weights).eval().requires_grad_(False)
    preprocessing = Preprocessing(**asdict(normalisation_of(weights)))
    if weights == "random":
        return GridExtractor(backbone, preprocessing, "random, seed 0", None)
    name, file = Path(weights).name, Path(weights)
    if weights == IMAGENET:
        name, file = f"torchvision {X101} {IMAGENET}", imagenet_file(X101)
    return GridExtractor(backbone, preprocessing, name, file_sha256(file))
