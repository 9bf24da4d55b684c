"""Grid features: a network's last map. By default as grid-feats-vqa's X-101 makes them, with
torchvision's ResNeXt-101 32x8d, whose last stage, res5, is (2048, H / 32, W / 32)."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lib.errors import InputError
from lib.files import file_sha256
from lib.models.common.backbone import AnyBackbone, Normalisation, normalisation_of
from lib.models.common.backbone_weights import X101, imagenet_file, load_backbone
from lib.models.family import IMAGENET, TIMM

Backbone_ = TypeVar("Backbone_", bound=AnyBackbone)
NAMES = {X101: "ResNeXt-101 32x8d"}  # of networks whose features' manifests have had another name
STRIDE = 32  # pixels per cell of a ResNet's map
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
class Stretching(Normalisation):
    """What happens to a picture before a network of timm's: the whole of it becomes square."""

    size: int = 224  # pixels of a side
    interpolation: str = "bicubic"

    def resize(self, picture: Image.Image) -> Tensor:
        """An RGB picture -> (3, size, size) uint8."""
        kind = Image.Resampling[self.interpolation.upper()]
        pixels = np.array(picture.resize((self.size, self.size), kind))
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


@dataclass(frozen=True)
class GridExtractor:
    """A backbone with what its weights want."""

    name: str  # as in "ResNeXt-101 32x8d"
    backbone: AnyBackbone
    preprocessing: Preprocessing | Stretching
    weights: str  # the file's name, or what stands in for one
    sha256: str | None
    stride: int | None = None  # pixels per cell; None: as many as the map's size says

    def maps(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 RGB -> (B, channels, h, w) float32."""
        pixels = self.preprocessing.normalise(pictures)
        if isinstance(self.preprocessing, Stretching):
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        return self.backbone(pixels).float()


def load_extractor(
    weights: str,
    backbone: str = X101,
    shortest: int | None = None,
    longest: int | None = None,
    size: int | None = None,
) -> GridExtractor:
    """Build a network and load its weights, all of them or none: of a file, ``imagenet`` or
    ``random``, as :func:`lib.models.common.backbone_weights.load_backbone` and
    :func:`lib.models.common.timm_backbone.load_timm` do. Torchvision's networks see pictures whose
    sides are from ``shortest`` to ``longest`` pixels, timm's see ``size`` x ``size``, by default
    their own size. Raises InputError: weights that do not fit, or a size that is not for the
    network."""
    torch.manual_seed(0)
    if backbone.startswith(TIMM):
        if shortest is not None or longest is not None:
            raise InputError(
                f"--shortest and --longest are for torchvision's networks; {backbone} sees "
                "square pictures, whose side --size says"
            )
        return _of_timm(backbone.removeprefix(TIMM), weights, size)
    if size is not None:
        raise InputError(
            f"--size is for {TIMM}NAME; {backbone} keeps a picture's proportions, and --shortest "
            "and --longest say its sides"
        )
    network = _ready(load_backbone(backbone, weights))
    pixels = asdict(normalisation_of(weights))
    preprocessing = Preprocessing(
        **pixels, shortest=shortest or SHORTEST, longest=longest or LONGEST
    )
    name = NAMES.get(backbone, backbone)
    if weights == "random":
        about: tuple[str, str | None] = ("random, seed 0", None)
    elif weights == IMAGENET:
        file = imagenet_file(backbone)
        about = f"torchvision {backbone} {IMAGENET}", file_sha256(file)
    else:
        about = Path(weights).name, file_sha256(Path(weights))
    return GridExtractor(name, network, preprocessing, *about, stride=STRIDE)


def require_cells(extractor: GridExtractor, side: int | None) -> None:
    """Refuse to average a square picture's map to more cells than it has. A ribbon's map may have
    fewer, of which some are repeated. Raises InputError."""
    if side is None:
        return
    prepare, option = extractor.preprocessing, "--size"
    if isinstance(prepare, Stretching):
        size = prepare.size
    else:
        size, option = min(prepare.shortest, prepare.longest), "--shortest"
    _, height, width = extractor.backbone.map_shape(size)
    if min(height, width) < side:
        raise InputError(
            f"{extractor.name}: gives {height} x {width} cells of pictures of {size} x {size} "
            f"pixels, too few for --grid_size {side}; pass a smaller one, or a larger {option}"
        )


def _of_timm(name: str, weights: str, size: int | None) -> GridExtractor:
    from lib.models.common.timm_backbone import load_timm  # timm is an extra

    # Convolutions on a CPU take 0.6 of the time with channels last.
    network = _ready(load_timm(name, weights))
    network.network = network.network.to(memory_format=torch.channels_last)
    pixels = asdict(network.normalisation())
    kind = str(network.about["interpolation"])
    preprocessing = Stretching(**pixels, size=size or network.size, interpolation=kind)
    network.map_shape(preprocessing.size)  # refuses a size that the network does not take
    about = {"random": ("random, seed 0", None), IMAGENET: (f"timm {name}", state_sha256(network))}
    known = about.get(weights)
    named = known or (Path(weights).name, file_sha256(Path(weights)))
    return GridExtractor(TIMM + name, network, preprocessing, *named)


def _ready(backbone: Backbone_) -> Backbone_:
    return backbone.eval().requires_grad_(False)


def state_sha256(module: torch.nn.Module) -> str:
    """A checksum of a network's tensors, for weights of which there is no one file."""
    total = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} ".encode())
        total.update(tensor.contiguous().numpy().tobytes())
    return total.hexdigest()
