"""Training from pixels: a family's model behind a backbone (VSE-infinity's end-to-end setting)."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from lib.batch import ImageBatch, PixelBatch, TextBatch
from lib.errors import InputError
from lib.models.common.explanation import Explanation
from lib.models.common.micro_batch import chunked_forward
from lib.models.common.retrieval_model import ParameterGroup, RetrievalModel
from lib.models.family import State

if TYPE_CHECKING:  # it imports torchvision, which training on precomputed features does without
    from lib.models.common.backbone import AnyBackbone, Normalisation


BACKBONE, FAMILY = "backbone.", "family."  # how the names of the parts' tensors begin


def behind(backbone: State, family: State) -> State:
    """The state of a model behind a backbone, from both states."""
    parts = ((BACKBONE, backbone), (FAMILY, family))
    return {prefix + key: value for prefix, part in parts for key, value in part.items()}


class EndToEnd(RetrievalModel):
    """Gives a family's model the cells of a backbone's last map as its features."""

    micro_batch: int | None = None  # pictures whose activations the backbone keeps; None: all

    def __init__(self, backbone: "AnyBackbone", pixels: "Normalisation", family: RetrievalModel):
        """Put ``backbone`` in front of ``family``'s image encoder."""
        super().__init__()
        self.backbone, self.normalisation, self.family = backbone, pixels, family
        self.pairwise, self.caption_batch = family.pairwise, family.caption_batch
        self.freeze_backbone()

    def encoders(self) -> Sequence[nn.Module]:
        """The family's, and the backbone."""
        return *self.family.encoders(), self.backbone

    def parameter_groups(self, lr: float) -> list[ParameterGroup]:
        """The family's; the backbone's group is the optimiser's to add."""
        return self.family.parameter_groups(lr)

    def freeze_backbone(self) -> None:
        """Let nothing of the backbone learn."""
        self.backbone.requires_grad_(False)

    def unfreeze_backbone(self, frozen_stages: int) -> None:
        """Let the backbone learn, except its stem and first stages; 0: all of it learns, as
        VSE-infinity's."""
        self.backbone.learn(frozen_stages)

    def require_cells(self, image_size: int, grid_size: int | None) -> None:
        """Refuse pictures of a size that the backbone does not take, or whose map has fewer cells
        than ``grid_size`` a side. Raises InputError."""
        _, height, width = self.backbone.map_shape(image_size)
        if grid_size is not None and min(height, width) < grid_size:
            raise InputError(
                f"the backbone gives {height} x {width} cells of pictures of {image_size} x "
                f"{image_size} pixels, too few for {grid_size} x {grid_size}; set a smaller "
                "features.grid_size, or a larger features.image_size"
            )

    def train(self, mode: bool = True) -> "EndToEnd":
        """Training mode for all but the backbone, whose BatchNorm statistics stay as they are."""
        super().train(mode)
        self.backbone.eval()
        return self

    def cells(self, batch: PixelBatch) -> ImageBatch:
        """B pictures -> the kept cells of each, packed to the front and padded with zeros."""
        learns = any(p.requires_grad for p in self.backbone.parameters())
        with nullcontext() if learns else torch.no_grad():
            maps = chunked_forward(self._maps, self.micro_batch, batch.pixels)
        side = batch.cells.shape[-1]
        if maps.shape[-2:] != (side, side):
            maps = adaptive_avg_pool2d(maps, side)
        rows = maps.flatten(2).transpose(1, 2)  # (B, side^2, C)
        kept = batch.cells.flatten(1)
        lengths = kept.sum(dim=1)
        order = (~kept).long().argsort(dim=1, stable=True)[:, : int(lengths.max())]
        real = kept.gather(1, order)[..., None]
        packed = rows.gather(1, order[..., None].expand(-1, -1, rows.shape[-1])) * real
        return ImageBatch(packed, lengths, batch.indices, batch.arrays)

    def _maps(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 or float32 -> (B, C, H, W) float."""
        return self.backbone(self.normalisation.normalise(pixels))

    def encode_images(self, batch: PixelBatch) -> Any:
        """B pictures -> what the family's ``encode_images`` gives."""
        return self.family.encode_images(self.cells(batch))

    def encode_texts(self, batch: TextBatch) -> Any:
        """As the family does."""
        return self.family.encode_texts(batch)

    def score(self, images: Any, texts: Any) -> Tensor:
        """As the family does."""
        return self.family.score(images, texts)

    def _explain(self, images: PixelBatch, texts: TextBatch | None) -> Explanation:
        return self.family._explain(self.cells(images), texts)
