"""ResNets of torchvision without their heads: from a picture to the map of its last stage.

Their weights are torchvision's own, or a Detectron2 file's such as grid-feats-vqa's ``X-101.pth``:
the topology is the same (the stride in the 3 x 3 convolution), so that a map of names is all it
takes. The map has H / 32 x W / 32 cells. Nothing that reads precomputed features imports this file,
and so torchvision.
"""

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import ResNet, get_model, get_model_weights

from lib.config import ModelConfig
from lib.errors import InputError, first_line
from lib.models.normalisation import IMAGENET

X101 = "resnext101_32x8d"  # the network of X-101.pth
SKIPPED = ("proposal_generator.", "roi_heads.", "pixel_mean", "pixel_std")  # of the detector
STAGES = {f"res{stage}": f"layer{stage - 1}" for stage in (2, 3, 4, 5)}
NORM = ("weight", "bias", "running_mean", "running_var")


class Backbone(nn.Module):
    """A ResNet's stem and its four stages."""

    def __init__(self, network: ResNet):
        super().__init__()
        self.stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        self.stages = nn.Sequential(*(getattr(network, name) for name in STAGES.values()))
        self.channels = network.fc.in_features

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float32, normalised -> (B, channels, H / 32, W / 32) float32, sides rounded
        up."""
        return self.stages(self.stem(pixels))


def build_backbone(config: ModelConfig, pretrained: bool) -> Backbone:
    """The backbone of a model that reads pictures.

    Args:
        config: ``backbone``, ``backbone_weights`` and ``img_dim``.
        pretrained: False leaves the weights random, for a checkpoint that brings its own.

    Raises:
        InputError: its channels are not ``img_dim``, or see :func:`load_backbone`.
    """
    weights = config.backbone_weights if pretrained else "random"
    backbone = load_backbone(config.backbone, weights)
    if backbone.channels != config.img_dim:
        raise InputError(
            f"model.img_dim is {config.img_dim}, but {config.backbone} gives {backbone.channels} "
            f"channels; say model.img_dim={backbone.channels}"
        )
    return backbone


def load_backbone(name: str, weights: str) -> Backbone:
    """Build a network and load its weights, all of them or none.

    Args:
        name: torchvision's, of a ResNet.
        weights: ``imagenet`` for torchvision's own; ``random``; or a Detectron2 file, which is of
            resnext101_32x8d.

    Raises:
        InputError: the file is unsafe, damaged or of another network, or cannot be downloaded.
    """
    if weights == "random":
        return Backbone(get_model(name))
    if weights == IMAGENET:
        choice = get_model_weights(name).IMAGENET1K_V1
        try:
            return Backbone(get_model(name, weights=choice))
        except Exception as error:  # no network, or a damaged file, which fails in many ways
            raise InputError(
                f"torchvision's weights cannot be had ({first_line(error)}); put the file "
                f"of {choice.url} into {imagenet_file(name).parent}, or pass X-101.pth instead of "
                f"{IMAGENET}"
            ) from error
    if name != X101:
        raise InputError(f"{weights}: Detectron2's files are read for {X101} alone, not for {name}")
    path = Path(weights)
    return from_detectron2(_read(path), path)


def imagenet_file(name: str) -> Path:
    """Where torchvision keeps its own weights of a network."""
    url = get_model_weights(name).IMAGENET1K_V1.url
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name


def torchvision_name(name: str) -> str | None:
    """Detectron2's name of a tensor -> torchvision's; None for the detector's parts, skipped.

    Raises:
        KeyError: a name that is neither.
    """
    if name.startswith(SKIPPED):
        return None
    norm = "|".join(NORM)
    stem = re.fullmatch(rf"backbone\.stem\.conv1\.(?:weight|norm\.({norm}))", name)
    if stem:
        return f"bn1.{stem[1]}" if stem[1] else "conv1.weight"
    block = re.fullmatch(
        rf"backbone\.(res[2-5])\.(\d+)\.(conv[123]|shortcut)\.(?:weight|norm\.({norm}))", name
    )
    if not block:
        raise KeyError(name)
    stage, number, part, statistic = block.groups()
    if part == "shortcut":
        part = "downsample.1" if statistic else "downsample.0"
    elif statistic:
        part = part.replace("conv", "bn")
    return f"{STAGES[stage]}.{number}.{part}.{statistic or 'weight'}"


def from_detectron2(state: dict[str, object], path: Path) -> Backbone:
    """A Detectron2 file's ``model`` -> the backbone, with all of its tensors or none.

    Args:
        state: Detectron2's names and tensors, or NumPy arrays.
        path: where it comes from, for errors.

    Raises:
        InputError: missing, unexpected or differently shaped tensors, by name.
    """
    found, unexpected = {}, []
    for name, value in state.items():
        try:
            ours = torchvision_name(name)
        except KeyError:
            unexpected.append(name)
            continue
        if ours is not None:
            # Detectron2's own checkpointer saves NumPy arrays, older ones tensors.
            try:
                found[ours] = torch.as_tensor(value).float()
            except (TypeError, ValueError, RuntimeError) as error:
                raise InputError(f"{path}: {name} is no tensor ({first_line(error)})") from error
    if unexpected:
        raise InputError(f"{path}: holds unexpected tensors: {_few(unexpected)}")
    with torch.device("meta"):
        network = get_model(X101)
    _load_strictly(network, found, path)
    return Backbone(network)


def _read(path: Path) -> dict[str, object]:
    if not path.is_file():
        raise InputError(
            f"{path}: no such file of weights; X-101.pth comes from grid-feats-vqa, or pass "
            "--weights imagenet"
        )
    reconstruct = np.zeros(1).__reduce__()[0]
    allowed = [
        (reconstruct, "numpy.core.multiarray._reconstruct"),
        reconstruct,
        np.ndarray,
        np.dtype,
        type(np.dtype("f4")),
        type(np.dtype("i8")),
    ]
    try:
        with torch.serialization.safe_globals(allowed):
            content = torch.load(path, map_location="cpu", weights_only=True)
        state = content["model"]
        if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
            raise TypeError("its model is no dict of names")
    except Exception as error:  # a damaged file fails inside torch in ways that are not listed
        raise InputError(
            f"{path}: is no Detectron2 file of weights ({first_line(error)})"
        ) from error
    return state


def _load_strictly(network: nn.Module, found: dict[str, Tensor], path: Path) -> None:
    expected = {
        name: tensor.shape
        for name, tensor in network.state_dict().items()
        if not name.startswith("fc.") and not name.endswith("num_batches_tracked")
    }
    missing = sorted(expected.keys() - found.keys())
    extra = sorted(found.keys() - expected.keys())
    shapes = [n for n in expected.keys() & found.keys() if expected[n] != found[n].shape]
    problems = {"missing": missing, "unexpected": extra, "of another shape": sorted(shapes)}
    if any(problems.values()):
        told = "; ".join(f"{len(n)} tensors {what}: {_few(n)}" for what, n in problems.items() if n)
        raise InputError(f"{path}: is not of ResNeXt-101 32x8d: {told}")
    # Counters of batches are the only other tensors that the backbone has.
    counters = {
        name: torch.zeros((), dtype=torch.int64)
        for name in network.state_dict()
        if name.endswith("num_batches_tracked")
    }
    network.load_state_dict(found | counters, strict=False, assign=True)


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
