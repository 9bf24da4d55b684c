"""3SHNet (Ge et al., IP&M 2024): image encoder and two-tower model; VSE-infinity without
segmentation. Where paper and released weights differ, the weights win."""

import torch
from torch import Tensor, nn
from transformers import BertModel

from lib.batch import ImageBatch, TextBatch
from lib.config import ModelConfig
from lib.models.layers import MLP, Embed, unit
from lib.models.pooling import GeneralizedPooling
from lib.models.semantic import VSeM
from lib.models.spatial import VSpM
from lib.models.text import TextEncoder
from lib.processes import largest


class ImageEncoder(nn.Module):
    """Regions or grid cells, highlighted by segmentation, pooled to one vector."""

    synchronised = False  # whether BatchNorm's statistics are those of all processes together

    def __init__(self, config: ModelConfig):
        super().__init__()
        size = config.embed_size
        self.normalise = config.normalise_images
        self.segmentation = config.segmentation
        self.projection = nn.Linear(config.img_dim, size)
        nn.init.xavier_uniform_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)
        self.residual = MLP(config.img_dim, size // 2, size)
        if config.segmentation:
            self.category_embedding = Embed(config.categories, size)
            self.cell_embedding = Embed(config.categories, size)
            self.cell_residual = MLP(size, size // 2, size)
            self.semantic = VSeM(size, config.categories) if config.vsem else None
            self.spatial = VSpM(size, config.map_size) if config.vspm else None
            self.fusion = MLP(size, size // 2, size)
        self.pooling = GeneralizedPooling()

    def branches(self, batch: ImageBatch) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """F0 and the outputs of VSeM and VSpM (None where switched off), each (B, K, D) float."""
        projected = self.projection(batch.features)
        mask = batch.mask
        semantic = self.semantic and self.semantic(projected, mask, batch.semantic)
        spatial = self.spatial and self.spatial(projected, mask, batch.seg_map)
        return projected, semantic, spatial

    def forward(self, batch: ImageBatch) -> Tensor:
        """B images -> (B, D) float32, of unit length unless ``normalise_images`` is off."""
        if self.training and self.synchronised:  # padded rows count: as many on every process
            batch = batch.widened(largest(batch.features.shape[1]))
        pooled = self.pooling(*self._set(batch))
        return unit(pooled) if self.normalise else pooled

    def _set(self, batch: ImageBatch) -> tuple[Tensor, Tensor]:
        """The vectors to pool, (B, N, D), and which of them count, (B, N).

        GPO does not see the order of a set, so padded rows stay where they are, masked out.
        """
        mask = batch.mask
        if not self.segmentation:
            projected = self.projection(batch.features)
            return projected + self.residual(batch.features), mask
        projected, semantic, spatial = self.branches(batch)
        regions = projected + self.residual(batch.features)
        highlighted = regions
        for branch in (semantic, spatial):
            highlighted = highlighted if branch is None else highlighted + branch
        category = self.category_embedding(batch.categories)[:, None]  # (B, 1, D)
        cells = self.cell_embedding(batch.semantic.flatten(2).transpose(1, 2))  # (B, 49, D)
        cells = cells + self.cell_residual(cells)
        rows = (category, regions, self.fusion(highlighted), cells)
        always = mask.new_ones(len(mask), 1)
        masks = (always, mask, mask, always.expand(-1, cells.shape[1]))
        return torch.cat(rows, dim=1), torch.cat(masks, dim=1)


class ThreeSHNet(nn.Module):
    """Two encoders and a dot product."""

    pairwise = False

    def __init__(self, config: ModelConfig, bert: BertModel):
        super().__init__()
        self.image_encoder = ImageEncoder(config)
        self.text_encoder = TextEncoder(bert, config.embed_size, config.normalise_texts)

    def encode_images(self, batch: ImageBatch) -> Tensor:
        """B images -> (B, D) float32."""
        return self.image_encoder(batch)

    def encode_texts(self, batch: TextBatch) -> Tensor:
        """B captions -> (B, D) float32."""
        return self.text_encoder(batch)

    def score(self, images: Tensor, texts: Tensor) -> Tensor:
        """(n, D) and (m, D) float32 -> (n, m) float32: dot products, cosines for unit vectors."""
        return images @ texts.T
