"""CMSEI's encoders: graphs within a modality (Ge et al., WACV 2023, Eq. 1-4).

The paper has no public code: what it leaves open is marked *inferred*."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import BertModel

from lib.batch import ImageBatch, Tensors, TextBatch
from lib.models.cmsei.config import Config
from lib.models.common.batchnorm import BatchNorm
from lib.models.common.bert import TokenEncoder


@dataclass(frozen=True)
class Fragments(Tensors):
    """B images, or sentences, in parts: N regions, or pieces of words, padded at the end."""

    rows: Tensor  # (B, N, D) float; V^f or T^f, zeros behind
    mask: Tensor  # (B, N) bool; true on real rows
    plain: Tensor  # (B, D) float; mean of the real rows of V or T
    salient: Tensor  # (B, D) float; mean of ReLU of the real rows of V or T

    def trimmed(self) -> "Fragments":
        """The same without the columns that are padding in all of them."""
        width = int(self.mask.sum(dim=1).max())
        return Fragments(self.rows[:, :width], self.mask[:, :width], self.plain, self.salient)


def mean_of_real(rows: Tensor, mask: Tensor) -> Tensor:
    """(..., N, D) and (..., N) bool -> (..., D)."""
    real = mask[..., None].to(rows.dtype)
    return (rows * real).sum(dim=-2) / real.sum(dim=-2)


def iou(boxes: Tensor) -> Tensor:
    """(B, K, 4) float, x1, y1, x2, y2 -> (B, K, K) intersection over union, 0 for empty boxes."""
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    shared = (high - low).clamp_min(0).prod(dim=-1)
    areas = (boxes[..., 2:] - boxes[..., :2]).clamp_min(0).prod(dim=-1)
    union = areas[:, :, None] + areas[:, None] - shared
    return shared / union.clamp_min(torch.finfo(union.dtype).tiny)


class Residual(nn.Module):
    """W_r of the graphs: linear, and (*inferred*, after VSRN) a BatchNorm whose scale starts at
    zero, so that a graph starts as the identity."""

    def __init__(self, size: int):
        super().__init__()
        self.linear = nn.Linear(size, size)
        self.norm = BatchNorm(size)
        nn.init.zeros_(self.norm.weight)

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        """(B, N, D), (B, N) bool -> (B, N, D), zero on padding, which the statistics do not see."""
        real = self.norm(self.linear(rows[mask]))
        return real.new_zeros(rows.shape).index_put((mask,), real)


class Affinity(nn.Module):
    """(W_phi x_i) . (W_theta x_j), the edges of the spatial and the textual graph."""

    def __init__(self, size: int):
        super().__init__()
        self.phi = nn.Linear(size, size)
        self.theta = nn.Linear(size, size)

    def forward(self, rows: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, N)."""
        return self.phi(rows) @ self.theta(rows).transpose(1, 2)


class ImageEncoder(nn.Module):
    """Regions, enhanced by a spatial and a semantic graph (Eq. 1-2)."""

    def __init__(self, config: Config):
        super().__init__()
        size = config.embed_size
        self.overlap = config.overlap
        self.projection = nn.Linear(config.img_dim, size)
        self.affinity = self.relation_graph = None
        if config.use_spatial_graph:
            self.affinity = Affinity(size)
            self.spatial_graph = nn.Linear(size, size, bias=False)  # W_g^s
            self.spatial_residual = Residual(size)  # W_r1
        if config.use_semantic_graph:
            self.relation_graph = nn.Linear(size, size, bias=False)  # W_g^v
            self.relation_residual = Residual(size)  # W_r2
            self.joint_residual = Residual(size)  # W_r3

    def forward(self, batch: ImageBatch) -> Fragments:
        """B images with boxes and relations, as far as they are used."""
        mask = batch.mask
        plain = spatial = self.projection(batch.features) * mask[..., None]  # V
        real = mask[:, :, None] & mask[:, None]
        count = mask.sum(dim=1)[:, None, None]  # *inferred*: affinities are divided by K
        if self.affinity is not None:
            near = (iou(batch.arrays["boxes"]) > self.overlap) & real
            edges = self.affinity(plain).masked_fill(~near, 0) / count
            spatial = self.spatial_residual(edges @ self.spatial_graph(plain), mask) + plain
        rows = spatial
        if self.relation_graph is not None:
            edges = (batch.arrays["relations"] * real / count).to(plain.dtype)
            related = self.relation_residual(edges @ self.relation_graph(plain), mask)
            rows = self.joint_residual(related + spatial, mask) + plain
        return Fragments(rows, mask, mean_of_real(plain, mask), mean_of_real(plain.relu(), mask))


class SentenceEncoder(TokenEncoder):
    """Pieces of words, enhanced by a fully connected graph (Eq. 3-4)."""

    def __init__(self, config: Config, bert: BertModel):
        super().__init__(bert, config.embed_size)
        self.affinity = None
        if config.use_text_graph:
            self.affinity = Affinity(config.embed_size)
            self.graph = nn.Linear(config.embed_size, config.embed_size, bias=False)  # W_g^t
            self.residual = Residual(config.embed_size)  # W_r

    def forward(self, batch: TextBatch) -> Fragments:
        """B captions; all real pieces count, [CLS] and [SEP] too (*inferred*)."""
        mask = batch.mask
        plain = rows = self.tokens(batch) * mask[..., None]  # T
        if self.affinity is not None:
            real = mask[:, :, None] & mask[:, None]
            count = mask.sum(dim=1)[:, None, None]
            edges = self.affinity(plain).masked_fill(~real, 0) / count
            rows = self.residual(edges @ self.graph(plain), mask) + plain
        return Fragments(rows, mask, mean_of_real(plain, mask), mean_of_real(plain.relu(), mask))
