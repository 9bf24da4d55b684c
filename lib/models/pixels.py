"""A family behind a backbone: grids made from pixels, and trained with the rest (VSE-infinity)."""

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from lib.batch import ImageBatch, PixelBatch, TextBatch
from lib.models.normalisation import Normalisation
from lib.models.pieces import in_pieces


class FromPixels(nn.Module):
    """Gives a family's model the cells of a backbone's last map for its features."""

    micro_batch: int | None = None  # pictures that the backbone keeps activations of

    def __init__(self, backbone: nn.Module, normalisation: Normalisation, family: nn.Module):
        """Put ``backbone``, which has ``stages``, in front of ``family``'s image encoder."""
        super().__init__()
        self.backbone, self.normalisation, self.family = backbone, normalisation, family
        self.learn(None)

    @property
    def pairwise(self) -> bool:
        """The family's."""
        return self.family.pairwise

    @property
    def image_encoder(self) -> nn.Module:
        """The family's, behind the backbone."""
        return self.family.image_encoder

    @property
    def text_encoder(self) -> nn.Module:
        """The family's."""
        return self.family.text_encoder

    def learn(self, frozen_stages: int | None) -> None:
        """Let the backbone learn, but for its stem and first stages; 0: all; None: nothing."""
        self.backbone.requires_grad_(frozen_stages == 0)
        if frozen_stages:
            self.backbone.stages[frozen_stages:].requires_grad_(True)

    def train(self, mode: bool = True) -> "FromPixels":
        """Training mode for all but the backbone, whose BatchNorm statistics stay as they are."""
        super().train(mode)
        self.backbone.eval()
        return self

    def cells(self, batch: PixelBatch) -> ImageBatch:
        """B pictures -> the cells that stay of each, packed to the front and padded with zeros."""
        learns = any(p.requires_grad for p in self.backbone.parameters())
        with nullcontext() if learns else torch.no_grad():
            maps = in_pieces(self._maps, self.micro_batch, batch.pixels)
        side = batch.cells.shape[-1]
        if maps.shape[-2:] != (side, side):
            maps = adaptive_avg_pool2d(maps, side)
        rows = maps.flatten(2).transpose(1, 2)  # (B, side^2, C)
        kept = batch.cells.flatten(1)
        lengths = kept.sum(dim=1)
        order = (~kept).long().argsort(dim=1, stable=True)[:, : int(lengths.max())]
        real = kept.gather(1, order)[..., None]
        packed = rows.gather(1, order[..., None].expand(-1, -1, rows.shape[-1])) * real
        others = (batch.indices, batch.semantic, batch.seg_map, batch.categories)
        return ImageBatch(packed, lengths, *others)

    def _maps(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 -> (B, C, H, W) float."""
        return self.backbone(self.normalisation.normalise(pixels))

    def encode_images(self, batch: PixelBatch) -> Tensor:
        """B pictures -> what the family's ``encode_images`` gives."""
        return self.family.encode_images(self.cells(batch))

    def encode_texts(self, batch: TextBatch) -> Tensor:
        """As the family does."""
        return self.family.encode_texts(batch)

    def score(self, images: Tensor, texts: Tensor) -> Tensor:
        """As the family does."""
        return self.family.score(images, texts)
