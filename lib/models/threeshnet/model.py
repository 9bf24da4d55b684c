"""3SHNet (Ge et al., IP&M 2024): image encoder and two-tower model; VSE-infinity without
segmentation. Where paper and released weights differ, the weights win."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from transformers import BertModel

from lib.batch import ImageBatch, TextBatch, pad_rows
from lib.distributed import all_reduce_max
from lib.models.common.bert import TextEncoder, bert_parameter_groups
from lib.models.common.explanation import Explanation
from lib.models.common.gpo import GeneralizedPooling
from lib.models.common.layers import MLP, Embed, unit
from lib.models.common.retrieval_model import ParameterGroup, RetrievalModel
from lib.models.threeshnet.config import Config
from lib.models.threeshnet.highlights import explain
from lib.models.threeshnet.vsem import VSeM
from lib.models.threeshnet.vspm import VSpM


class ImageEncoder(nn.Module):
    """Regions or grid cells, highlighted by segmentation, pooled to one vector."""

    synchronised = False  # whether BatchNorm computes its statistics over all ranks

    def __init__(self, config: Config):
        super().__init__()
        size = config.embed_size
        self.normalise = config.normalise_images
        self.segmentation = config.segmentation
        self.projection = nn.Linear(config.img_dim, size)
        nn.init.xavier_uniform_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)
        self.residual = MLP(config.img_dim, size // 2, size) if config.residual else None
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
        mask, arrays = batch.mask, batch.arrays
        semantic = spatial = None
        if self.semantic is not None:
            semantic = self.semantic(projected, mask, arrays["semantic"])
        if self.spatial is not None:
            spatial = self.spatial(projected, mask, arrays["seg_map"])
        return projected, semantic, spatial

    def forward(self, batch: ImageBatch) -> Tensor:
        """B images -> (B, D) float32, of unit length unless ``normalise_images`` is off."""
        if self.training and self.synchronised:  # padded rows count: as many on every rank
            width = all_reduce_max(batch.features.shape[1])
            batch = replace(batch, features=pad_rows(batch.features, width))
        pooled = self.pooling(*self.pooled_set(batch))
        return unit(pooled) if self.normalise else pooled

    def pooled_set(self, batch: ImageBatch) -> tuple[Tensor, Tensor]:
        """The vectors to pool, (B, N, D), and which of them count, (B, N). GPO does not see the
        order of a set, so padded rows stay where they are, masked out."""
        mask = batch.mask
        if self.residual is None:
            return self.projection(batch.features), mask
        if not self.segmentation:
            projected = self.projection(batch.features)
            return projected + self.residual(batch.features), mask
        projected, semantic, spatial = self.branches(batch)
        regions = projected + self.residual(batch.features)
        highlighted = regions
        for branch in (semantic, spatial):
            highlighted = highlighted if branch is None else highlighted + branch
        category = self.category_embedding(batch.arrays["categories"])[:, None]  # (B, 1, D)
        shares = batch.arrays["semantic"].flatten(2).transpose(1, 2)
        cells = self.cell_embedding(shares)  # (B, 49, D)
        cells = cells + self.cell_residual(cells)
        rows = (category, regions, self.fusion(highlighted), cells)
        always = mask.new_ones(len(mask), 1)
        masks = (always, mask, mask, always.expand(-1, cells.shape[1]))
        return torch.cat(rows, dim=1), torch.cat(masks, dim=1)


class ThreeSHNet(RetrievalModel):
    """Two encoders and a dot product."""

    image_encoder: ImageEncoder
    text_encoder: TextEncoder

    def __init__(self, config: Config, bert: BertModel):
        super().__init__()
        self.bert_lr_scale = config.bert_lr_scale
        self.image_encoder = ImageEncoder(config)
        frozen = config.bert_lr_scale == 0
        self.text_encoder = TextEncoder(bert, config.embed_size, config.normalise_texts, frozen)

    def parameter_groups(self, lr: float) -> list[ParameterGroup]:
        """Text head, BERT and image encoder (VSE-infinity's recipe)."""
        return bert_parameter_groups(self, lr, self.bert_lr_scale)

    def _explain(self, images: ImageBatch, texts: TextBatch | None) -> Explanation:
        sentences = None if texts is None else self.encode_texts(texts)
        found = explain(self.image_encoder, images, sentences)
        if texts is None:
            return found
        return replace(found, words=self.text_encoder.explain(texts, self.encode_images(images)))
