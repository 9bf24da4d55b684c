"""ResNets of torchvision without their heads: from a picture to the map of its last stage.

Those named ``*_caffe`` are in Caffe's layout, as VSE-infinity's are: a stage strides in its first
1 x 1 convolution, where torchvision strides in the 3 x 3 one, and the stem's pooling is without
padding. The map has H / 32 x W / 32 cells. Nothing that reads precomputed features imports this
file, and so torchvision."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torchvision.models import ResNet, WeightsEnum, get_model

STAGES = ("layer1", "layer2", "layer3", "layer4")
CAFFE = "_caffe"


@dataclass(frozen=True)
class Normalisation:
    """What becomes of 8-bit RGB before a backbone."""

    bgr: bool
    scale: float  # of 0..255 before the mean is taken off
    mean: tuple[float, float, float]  # in the order of the channels
    std: tuple[float, float, float]

    def normalise(self, pixels: Tensor) -> Tensor:
        """(..., 3, H, W) RGB in [0, 255] -> the same shape, float32, in the network's order."""
        pixels = pixels.flip(-3) if self.bgr else pixels
        mean, std = (
            torch.tensor(v, device=pixels.device)[:, None, None] for v in (self.mean, self.std)
        )
        return (pixels.float() * self.scale - mean) / std


NORMALISATIONS = {
    "imagenet": Normalisation(False, 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "detectron2": Normalisation(True, 1.0, (103.530, 116.280, 123.675), (57.375, 57.120, 58.395)),
    "caffe": Normalisation(True, 1.0, (102.9801, 115.9465, 122.7717), (1.0, 1.0, 1.0)),
}


def normalisation_of(weights: str, pixels: str | None = None) -> Normalisation:
    """What weights were trained with: the name that ``pixels`` gives, or else torchvision's own
    where the ``weights`` are, and a Detectron2 file's."""
    return NORMALISATIONS[pixels or ("imagenet" if weights == "imagenet" else "detectron2")]


def build_network(name: str, weights: WeightsEnum | None = None) -> ResNet:
    """A ResNet by one of :data:`lib.models.family.Backbone`'s names; random where there are no
    ``weights``."""
    network = cast(ResNet, get_model(name.removesuffix(CAFFE), weights=weights))
    if name.endswith(CAFFE):
        network.maxpool = nn.MaxPool2d(3, 2, padding=0, ceil_mode=True)
        for stage in STAGES[1:]:
            first = getattr(network, stage)[0]
            first.conv1.stride, first.conv2.stride = first.conv2.stride, first.conv1.stride
    return network


class AnyBackbone(nn.Module):
    """What training from pixels and extraction ask of a network without its head; its forward maps
    (B, 3, H, W) float32 to (B, channels, h, w) float."""

    channels: int

    def map_shape(self, size: int) -> tuple[int, int, int]:
        """Channels, height and width of the map of a picture of ``size`` x ``size`` pixels. Raises
        InputError: the network does not take such pictures, or gives no map."""
        with torch.inference_mode():
            device = next(self.parameters()).device
            _, channels, height, width = self(torch.zeros(1, 3, size, size, device=device)).shape
        return channels, height, width

    def learn(self, frozen_stages: int) -> None:
        """Let all parameters learn, except the stem's and the first stages'; 0: all of them."""
        self.requires_grad_(True)


class Backbone(AnyBackbone):
    """A ResNet's stem and its four stages."""

    def __init__(self, network: ResNet):
        super().__init__()
        self.stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        self.stages = nn.Sequential(*(getattr(network, name) for name in STAGES))
        self.channels = network.fc.in_features

    def learn(self, frozen_stages: int) -> None:
        """As :meth:`AnyBackbone.learn`."""
        self.requires_grad_(frozen_stages == 0)
        self.stages[frozen_stages:].requires_grad_(True)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float32 -> (B, channels, H / 32, W / 32) float32, sides rounded up."""
        return self.stages(self.stem(pixels))
