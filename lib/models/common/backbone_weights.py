"""Weights of backbones: torchvision's own, a file of torchvision's names, or a Detectron2 file such
as grid-feats-vqa's ``X-101.pth``, whose network strides as torchvision's does."""

import re
from pathlib import Path

import torch
from torch import Tensor
from torchvision.models import get_model_weights

from lib.errors import InputError, few, first_line
from lib.models.common.backbone import (
    CAFFE,
    NORMALISATIONS,
    STAGES,
    AnyBackbone,
    Backbone,
    Normalisation,
    build_network,
    normalisation_of,
)
from lib.models.family import IMAGENET, TIMM, FamilyConfig, State
from lib.weights import read_state, require_same_shapes, shapes_of

X101 = "resnext101_32x8d"  # the network of X-101.pth
SKIPPED = ("proposal_generator.", "roi_heads.", "pixel_mean", "pixel_std")  # of the detector
DETECTRON2_STAGES = {f"res{number}": name for number, name in enumerate(STAGES, 2)}
# torchvision's first names -> ours.
PARTS = {"conv1": "stem.0", "bn1": "stem.1"} | {s: f"stages.{i}" for i, s in enumerate(STAGES)}
# The second names that VSE-infinity's files give the same tensors -> torchvision's.
SECOND_NAMES = {"base.0": "conv1", "base.1": "bn1", "base.4": "layer1", "base.5": "layer2",
                "base.6": "layer3", "top.0": "layer4"}  # fmt: skip
HEAD = ("fc.weight", "fc.bias")  # of the classifier, which no map needs


def build_backbone(config: FamilyConfig, pretrained: bool) -> tuple[AnyBackbone, Normalisation]:
    """The backbone that a model's settings name, and how its pixels are normalised;
    ``pretrained=False`` leaves its weights random. Raises InputError: its channels are not
    ``img_dim``, or see :func:`load_backbone` and :func:`lib.models.common.timm_backbone.load_timm`.
    """
    assert config.backbone is not None
    weights = config.backbone_weights if pretrained else "random"
    backbone: AnyBackbone
    if config.backbone.startswith(TIMM):
        from lib.models.common.timm_backbone import load_timm  # timm is an extra

        backbone = load_timm(config.backbone.removeprefix(TIMM), weights)
        named = config.backbone_pixels
        pixels = backbone.normalisation() if named is None else NORMALISATIONS[named]
    else:
        backbone = load_backbone(config.backbone, weights, config.backbone_pixels)
        pixels = normalisation_of(config.backbone_weights, config.backbone_pixels)
    if backbone.channels != config.img_dim:
        raise InputError(
            f"model.img_dim is {config.img_dim}, but {config.backbone} gives {backbone.channels} "
            f"channels; set model.img_dim={backbone.channels}"
        )
    return backbone, pixels


def load_backbone(name: str, weights: str, pixels: str | None = None) -> Backbone:
    """Build a ResNet and load its weights, all of them or none: ``imagenet`` for torchvision's own;
    ``random``; a Detectron2 file, which is of resnext101_32x8d; or a file of torchvision's names,
    which does not tell how ``pixels`` are normalised. Raises InputError: the file is unsafe,
    damaged or of another network, cannot be downloaded, or nothing tells how pixels are
    normalised."""
    if weights == "random":
        return Backbone(build_network(name))
    if weights == IMAGENET:
        choice = get_model_weights(name.removesuffix(CAFFE)).IMAGENET1K_V1
        try:
            return Backbone(build_network(name, choice))
        except Exception as error:  # no network, or a damaged file, which fails in many ways
            raise InputError(
                f"torchvision's weights are unavailable ({first_line(error)}); put the file of "
                f"{choice.url} into {imagenet_file(name).parent}, or pass X-101.pth"
            ) from error
    kind, advice = "file of a backbone's weights", "X-101.pth comes from grid-feats-vqa"
    state = read_state(weights, kind, f"{advice}, or pass --weights imagenet")
    if any(key.startswith(("backbone.stem.", "backbone.res")) for key in state):
        if name != X101:
            raise InputError(f"{weights}: Detectron2 files are of {X101}, not of {name}")
        return from_detectron2(state, Path(weights))
    if pixels is None:
        raise InputError(
            f"{weights}: is no Detectron2 file like X-101.pth, and does not tell how pixels are "
            "normalised; in training model.backbone_pixels says it"
        )
    return from_torchvision(state, name, Path(weights))


def imagenet_file(name: str) -> Path:
    """Where torchvision keeps its own weights of a network."""
    url = get_model_weights(name.removesuffix(CAFFE)).IMAGENET1K_V1.url
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
    return f"{DETECTRON2_STAGES[stage]}.{number}.{part}.{statistic or 'weight'}"


def our_name(name: str) -> str:
    """torchvision's name of a tensor -> :class:`Backbone`'s; others are returned as they are."""
    first, _, rest = name.partition(".")
    return f"{PARTS[first]}.{rest}" if first in PARTS else name


def theirs(name: str) -> str:
    """:class:`Backbone`'s name of a tensor -> torchvision's."""
    for first, part in PARTS.items():
        if name.startswith(f"{part}."):
            return first + name.removeprefix(part)
    return name


def second_name(name: str) -> str:
    """torchvision's name of a tensor -> the second one that VSE-infinity's files give it."""
    first, _, rest = name.partition(".")
    second = next((second for second, names in SECOND_NAMES.items() if names == first), first)
    return f"{second}.{rest}"


def single_names(state: State) -> State:
    """Names and tensors as VSE-infinity keeps them, ``resnet.*`` and most of them again as
    ``base.*`` and ``top.*``, -> torchvision's names, once each. Raises ValueError: two names of one
    tensor differ."""
    found: State = {}
    for key, value in state.items():
        name = key.removeprefix("resnet.")
        second = ".".join(key.split(".")[:2])
        if second in SECOND_NAMES:
            name = SECOND_NAMES[second] + key.removeprefix(second)
        if name in found and not torch.equal(found[name], value):
            raise ValueError(f"{key} differs from resnet.{name}, which should be the same tensor")
        found[name] = value
    return found


def from_torchvision(state: State, name: str, path: Path) -> Backbone:
    """A file of torchvision's names, or of those of VSE-infinity's detector, -> the backbone, with
    all of its tensors or none. Raises InputError: missing, unexpected or differently shaped
    tensors."""
    own = {key.removeprefix("module.").removeprefix("backbone."): v for key, v in state.items()}
    try:
        found = {
            our_name(key): _widened(torch.as_tensor(value))
            for key, value in single_names(own).items()
            if key not in HEAD
        }
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: is not of {name} ({first_line(error)})") from error
    return _filled(name, found, path)


def _widened(tensor: Tensor) -> Tensor:
    """As float32, unless it holds a count."""
    return tensor.float() if tensor.is_floating_point() else tensor


def from_detectron2(state: dict[str, object], path: Path) -> Backbone:
    """A Detectron2 file's ``model`` (names and tensors, or NumPy arrays) -> the backbone, with all
    of its tensors or none. Raises InputError: missing, unexpected or differently shaped tensors."""
    found: dict[str, Tensor] = {}
    unexpected = []
    for name, value in state.items():
        try:
            if (known := torchvision_name(name)) is not None:
                # Detectron2's own checkpointer saves NumPy arrays, older ones tensors.
                found[our_name(known)] = torch.as_tensor(value).float()
        except KeyError:
            unexpected.append(name)
        except (TypeError, ValueError, RuntimeError) as error:
            message = f"{path}: {name} is not a tensor ({first_line(error)})"
            raise InputError(message) from error
    if unexpected:
        raise InputError(f"{path}: holds unexpected tensors: {few(unexpected)}")
    return _filled(X101, found, path)


def _filled(name: str, found: dict[str, Tensor], path: Path) -> Backbone:
    with torch.device("meta"):
        backbone = Backbone(build_network(name))
    fresh = backbone.state_dict()
    counters = {key for key in fresh if key.endswith("num_batches_tracked")}
    # Files of older versions have no counters.
    zeros = {key: torch.zeros((), dtype=torch.int64) for key in counters - found.keys()}
    expected, given = (
        {theirs(key): shape for key, shape in shapes_of(state).items()}
        for state in (fresh, found | zeros)
    )
    require_same_shapes(expected, given, f"{path}: is not of {name}")
    backbone.load_state_dict(found | zeros, assign=True)
    return backbone
