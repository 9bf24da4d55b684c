"""ResNets of torchvision without their heads: from a picture to the map of its last stage.

Their weights are torchvision's own, or a Detectron2 file's such as grid-feats-vqa's ``X-101.pth``:
the topology is the same (the stride in the 3 x 3 convolution), so that a map of names is all it
takes. The map has H / 32 x W / 32 cells. Nothing that reads precomputed features imports this file,
and so torchvision."""

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import ResNet, get_model, get_model_weights

from lib.errors import InputError, few, first_line
from lib.models.family import FamilyConfig
from lib.weights import read_torch, require_same_shapes, shapes_of

IMAGENET = "imagenet"  # stands for torchvision's own weights
X101 = "resnext101_32x8d"  # the network of X-101.pth
SKIPPED = ("proposal_generator.", "roi_heads.", "pixel_mean", "pixel_std")  # of the detector
STAGES = {f"res{stage}": f"layer{stage - 1}" for stage in (2, 3, 4, 5)}


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


class Backbone(nn.Module):
    """A ResNet's stem and its four stages."""

    def __init__(self, network: ResNet):
        super().__init__()
        self.stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        self.stages = nn.Sequential(*(getattr(network, name) for name in STAGES.values()))
        self.channels = network.fc.in_features

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float32 -> (B, channels, H / 32, W / 32) float32, sides rounded up."""
        return self.stages(self.stem(pixels))


def build_backbone(config: FamilyConfig, pretrained: bool) -> Backbone:
    """The backbone that a model's settings name; ``pretrained=False`` leaves its weights random.
    Raises InputError: its channels are not ``img_dim``, or see :func:`load_backbone`."""
    assert config.backbone is not None
    weights = config.backbone_weights if pretrained else "random"
    backbone = load_backbone(config.backbone, weights)
    if backbone.channels != config.img_dim:
        raise InputError(
            f"model.img_dim is {config.img_dim}, but {config.backbone} gives {backbone.channels} "
            f"channels; set model.img_dim={backbone.channels}"
        )
    return backbone


def load_backbone(name: str, weights: str) -> Backbone:
    """Build a ResNet of torchvision and load its weights, all of them or none: ``imagenet`` for
    torchvision's own; ``random``; or a Detectron2 file, which is of resnext101_32x8d. Raises
    InputError: the file is unsafe, damaged or of another network, or cannot be downloaded."""
    if weights == "random":
        return Backbone(get_model(name))
    if weights == IMAGENET:
        choice = get_model_weights(name).IMAGENET1K_V1
        try:
            return Backbone(get_model(name, weights=choice))
        except Exception as error:  # no network, or a damaged file, which fails in many ways
            raise InputError(
                f"torchvision's weights are unavailable ({first_line(error)}); put the file of "
                f"{choice.url} into {imagenet_file(name).parent}, or pass X-101.pth"
            ) from error
    if name != X101:
        raise InputError(f"{weights}: Detectron2 files are of {X101}, not of {name}")
    kind, advice = "Detectron2 file of weights", "X-101.pth comes from grid-feats-vqa"
    content = read_torch(weights, kind, f"{advice}, or pass --weights imagenet")
    state = content.get("model") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise InputError(f"{weights}: is not a {kind}: it has no dict of names under model")
    return from_detectron2(state, Path(weights))


def imagenet_file(name: str) -> Path:
    """Where torchvision keeps its own weights of a network."""
    url = get_model_weights(name).IMAGENET1K_V1.url
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name


def torchvision_name(name: str) -> str | None:
    """Detectron2's name of a tensor -> torchvision's; None for the detector's parts, skipped.
    Raises KeyError: a name that is neither."""
    if name.startswith(SKIPPED):
        return None
    norm = "weight|bias|running_mean|running_var"
    if stem := re.fullmatch(rf"backbone\.stem\.conv1\.(?:weight|norm\.({norm}))", name):
        return f"bn1.{stem[1]}" if stem[1] else "conv1.weight"
    pattern = rf"backbone\.(res[2-5])\.(\d+)\.(conv[123]|shortcut)\.(?:weight|norm\.({norm}))"
    if not (block := re.fullmatch(pattern, name)):
        raise KeyError(name)
    stage, number, part, statistic = block.groups()
    if part == "shortcut":
        part = "downsample.1" if statistic else "downsample.0"
    elif statistic:
        part = part.replace("conv", "bn")
    return f"{STAGES[stage]}.{number}.{part}.{statistic or 'weight'}"


def from_detectron2(state: dict[str, object], path: Path) -> Backbone:
    """A Detectron2 file's ``model`` (names and tensors, or NumPy arrays) -> the backbone, with all
    of its tensors or none. Raises InputError: missing, unexpected or differently shaped tensors."""
    found, unexpected = {}, []
    for name, value in state.items():
        try:
            if (ours := torchvision_name(name)) is not None:
                # Detectron2's own checkpointer saves NumPy arrays, older ones tensors.
                found[ours] = torch.as_tensor(value).float()
        except KeyError:
            unexpected.append(name)
        except (TypeError, ValueError, RuntimeError) as error:
            message = f"{path}: {name} is not a tensor ({first_line(error)})"
            raise InputError(message) from error
    if unexpected:
        raise InputError(f"{path}: holds unexpected tensors: {few(unexpected)}")
    with torch.device("meta"):
        network = get_model(X101)
    fresh = network.state_dict()
    counters = {name for name in fresh if name.endswith("num_batches_tracked")}
    expected = {n: s for n, s in shapes_of(fresh).items() if n not in counters and n[:3] != "fc."}
    require_same_shapes(expected, shapes_of(found), f"{path}: is not of ResNeXt-101 32x8d")
    zeros = {name: torch.zeros((), dtype=torch.int64) for name in counters}
    network.load_state_dict(found | zeros, strict=False, assign=True)
    return Backbone(network)
