"""Grid features as grid-feats-vqa's X-101 makes them, with torchvision's ResNeXt-101 32x8d.

Its published weights, ``X-101.pth``, are a Detectron2 file; torchvision's network has the same
topology (the stride in the 3 x 3 convolution), so that a map of names is all it takes. Features are
the output of the last stage, res5, (2048, H / 32, W / 32).
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import ResNeXt101_32X8D_Weights, resnext101_32x8d

from lib.data.manifest import file_sha256
from lib.errors import InputError, first_line

CHANNELS = 2048
SHORTEST, LONGEST = 600, 1000  # pixels of a picture's sides before the network
SKIPPED = ("proposal_generator.", "roi_heads.", "pixel_mean", "pixel_std")  # of the detector
STAGES = {f"res{stage}": f"layer{stage - 1}" for stage in (2, 3, 4, 5)}
NORM = ("weight", "bias", "running_mean", "running_var")


def resized(size: tuple[int, int], shortest: int, longest: int) -> tuple[int, int]:
    """(width, height) whose shorter side becomes ``shortest``, unless the longer would exceed
    ``longest``; at least one pixel each."""
    width, height = size
    scale = min(shortest / min(size), longest / max(size))
    return max(1, round(width * scale)), max(1, round(height * scale))


@dataclass(frozen=True)
class Preprocessing:
    """What happens to a picture's pixels."""

    bgr: bool
    scale: float  # of 0..255 before the mean is taken off
    mean: tuple[float, float, float]  # in the order of the channels
    std: tuple[float, float, float]
    shortest: int = SHORTEST
    longest: int = LONGEST

    def resize(self, picture: Image.Image) -> Tensor:
        """An RGB picture -> (3, H, W) uint8, at the size that the network sees."""
        size = resized(picture.size, self.shortest, self.longest)
        pixels = np.array(picture.resize(size, Image.Resampling.BILINEAR))
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()

    def normalise(self, pixels: Tensor) -> Tensor:
        """(..., 3, H, W) uint8 RGB -> the same shape, float32, in the network's channel order."""
        pixels = pixels.flip(-3) if self.bgr else pixels
        mean, std = (
            torch.tensor(v, device=pixels.device)[:, None, None] for v in (self.mean, self.std)
        )
        return (pixels.float() * self.scale - mean) / std


DETECTRON2 = Preprocessing(True, 1.0, (103.530, 116.280, 123.675), (57.375, 57.120, 58.395))
TORCHVISION = Preprocessing(False, 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Backbone(nn.Module):
    """ResNeXt-101 32x8d without its head."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        self.stages = nn.Sequential(*(getattr(network, name) for name in STAGES.values()))

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float32, preprocessed -> (B, 2048, H / 32, W / 32) float32."""
        return self.stages(self.stem(pixels))


@dataclass(frozen=True)
class GridExtractor:
    """A backbone with what its weights want."""

    backbone: Backbone
    preprocessing: Preprocessing
    weights: str  # the file's name, or what stands in for one
    sha256: str | None


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
            found[ours] = torch.as_tensor(value).float()
    if unexpected:
        raise InputError(f"{path}: holds unexpected tensors: {_few(unexpected)}")
    with torch.device("meta"):
        network = resnext101_32x8d()
    _load_strictly(network, found, path)
    return _evaluating(network)


def load_extractor(weights: str) -> GridExtractor:
    """Build the network and load its weights, all of them or none.

    Args:
        weights: a Detectron2 file like X-101.pth; ``imagenet`` for torchvision's own weights; or
            ``random`` for a network that has learnt nothing, to try the rest.

    Raises:
        InputError: the file is unsafe, damaged or of another network, or cannot be downloaded.
    """
    if weights == "random":
        torch.manual_seed(0)
        return GridExtractor(_evaluating(resnext101_32x8d()), DETECTRON2, "random, seed 0", None)
    if weights == "imagenet":
        choice = ResNeXt101_32X8D_Weights.IMAGENET1K_V1
        try:
            network = resnext101_32x8d(weights=choice)
        except OSError as error:
            raise InputError(
                f"torchvision's weights cannot be downloaded ({first_line(error)}); put the file "
                f"of {choice.url} into torch's cache (TORCH_HOME), or pass --weights X-101.pth"
            ) from error
        cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(choice.url).name
        name = f"torchvision {choice}"
        return GridExtractor(_evaluating(network), TORCHVISION, name, file_sha256(cached))
    path = Path(weights)
    backbone = from_detectron2(_read(path), path)
    return GridExtractor(backbone, DETECTRON2, path.name, file_sha256(path))


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
        if not isinstance(state, dict):
            raise TypeError("its model is no dict")
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


def _evaluating(network: nn.Module) -> Backbone:
    return Backbone(network).eval().requires_grad_(False)
