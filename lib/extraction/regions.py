"""Region features of pictures: boxes of a detector, described by a grid extractor's last map.

The published arrays (bottom-up attention, Visual Genome) have no extractor that runs today. These
are made with torchvision's Faster R-CNN for COCO and RoIAlign of the ResNeXt map: they have the
shape of the published ones and serve for training, but do not suit weights trained on those."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import (
    FasterRCNN_MobileNet_V3_Large_320_FPN_Weights,
    FasterRCNN_ResNet50_FPN_Weights,
    fasterrcnn_mobilenet_v3_large_320_fpn,
    fasterrcnn_resnet50_fpn,
)
from torchvision.ops import roi_align

from lib.errors import InputError, first_line
from lib.extraction.grid import GridExtractor
from lib.files import file_sha256
from lib.weights import read_state, require_same_shapes, shapes_of

# Name -> network and torchvision's weights for COCO.
DETECTORS: dict[str, tuple[Callable[..., nn.Module], Any]] = {
    "coco": (fasterrcnn_resnet50_fpn, FasterRCNN_ResNet50_FPN_Weights.COCO_V1),
    "coco_small": (
        fasterrcnn_mobilenet_v3_large_320_fpn,
        FasterRCNN_MobileNet_V3_Large_320_FPN_Weights.COCO_V1,
    ),
}
REGIONS = 36
SAMPLES = 7  # RoIAlign's bins per side, averaged


@dataclass(frozen=True)
class Detector:
    """A Faster R-CNN and whose weights it has."""

    model: nn.Module
    weights: str
    sha256: str | None


def load_detector(weights: str) -> Detector:
    """Build a Faster R-CNN of torchvision's with the weights ``coco`` (ResNet-50) or ``coco_small``
    (MobileNetV3, 320 pixels), torchvision's own; those of a file of either; or ``random``, to try
    the rest. Raises InputError: the file is unsafe, damaged or of another network, or cannot be
    downloaded."""
    if weights in DETECTORS:
        build, choice = DETECTORS[weights]
        try:
            model = build(weights=choice)
        except Exception as error:  # no network, or a damaged file, which fails in many ways
            raise InputError(
                f"torchvision's detector is unavailable ({first_line(error)}); pass the file "
                f"of {choice.url} as --detector FILE"
            ) from error
        file = Path(torch.hub.get_dir()) / "checkpoints" / Path(choice.url).name
        return _detector(model, f"torchvision {choice}", file)
    torch.manual_seed(0)
    if weights == "random":
        return _detector(_empty("coco_small"), "random, seed 0", None)
    file = Path(weights)
    state = read_state(file, "file of weights", "coco and coco_small take torchvision's own")
    small = any(str(key).startswith("backbone.body.0.") for key in state)
    model = _empty("coco_small" if small else "coco")
    expected, source = shapes_of(model.state_dict()), f"{file}: is not of Faster R-CNN"
    require_same_shapes(expected, shapes_of(state), source)
    model.load_state_dict(state)
    return _detector(model, file.name, file)


def _empty(name: str) -> nn.Module:
    return DETECTORS[name][0](weights=None, weights_backbone=None)


def _detector(model: nn.Module, name: str, file: Path | None) -> Detector:
    sha256 = None if file is None else file_sha256(file)
    return Detector(model.eval().requires_grad_(False), name, sha256)


def fixed_boxes(count: int, width: int, height: int) -> Tensor:
    """The first ``count`` boxes of ever finer grids, 1 x 1, 2 x 2, ...: (count, 4) float32, left,
    top, right, bottom in pixels."""
    boxes: list[tuple[float, ...]] = []
    side = 1
    while len(boxes) < count:
        boxes += [
            (column / side, row / side, (column + 1) / side, (row + 1) / side)
            for row in range(side)
            for column in range(side)
        ]
        side += 1
    return torch.tensor(boxes[:count]).reshape(-1, 4) * torch.tensor((width, height, width, height))


def filled(boxes: Tensor, count: int, width: int, height: int) -> Tensor:
    """The first ``count`` of (n, 4) ``boxes``, and where there are fewer, fixed ones behind them:
    (count, 4) float32, left, top, right, bottom in pixels."""
    boxes = boxes[:count].float()
    if len(boxes) == count:
        return boxes
    return torch.cat([boxes, fixed_boxes(count - len(boxes), width, height).to(boxes.device)])


class RegionExtractor:
    """Pictures to K boxes and their features."""

    def __init__(self, detector: Detector | None, grid: GridExtractor, regions: int):
        """``detector`` is None where the boxes are known already."""
        self.detector, self.grid, self.regions = detector, grid, regions

    def boxes(self, pictures: Tensor) -> Tensor:
        """The detector's boxes in (B, 3, H, W) uint8 RGB by falling score, filled up with fixed
        ones: (B, K, 4) float32, left, top, right, bottom in pixels."""
        assert self.detector is not None
        height, width = pictures.shape[-2:]
        chosen = []
        for found in self.detector.model(list(pictures.float() / 255)):
            order = found["scores"].argsort(descending=True, stable=True)
            chosen.append(filled(found["boxes"][order], self.regions, width, height))
        return torch.stack(chosen)

    def __call__(
        self, pictures: Tensor, sizes: Tensor, given: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Describe boxes by RoIAlign on the map.

        Args:
            pictures: (B, 3, H, W) uint8 RGB, as the network sees them.
            sizes: (B, 2) float, width and height of the pictures in their files, in pixels.
            given: (B, K, 4) float boxes in those pixels; None: the detector finds them.

        Returns:
            Features (B, K, channels) float32, and boxes (B, K, 4) float32, left, top, right,
            bottom in pixels of the files' pictures."""
        height, width = pictures.shape[-2:]
        scale = sizes.repeat(1, 2)[:, None] / sizes.new_tensor((width, height, width, height))
        with torch.inference_mode():
            boxes = self.boxes(pictures) if given is None else given / scale
            maps = self.grid.maps(pictures)
            stride = self.grid.stride
            cells = sizes.new_tensor((maps.shape[-1] / width, maps.shape[-2] / height)).repeat(2)
            placed = boxes / stride if stride is not None else boxes * cells
            features = roi_align(maps, list(placed), SAMPLES, 1.0, aligned=True).mean(dim=(2, 3))
        found = boxes * scale if given is None else given
        return features.reshape(*boxes.shape[:2], -1), found
