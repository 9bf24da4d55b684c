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
    whole: Tensor  # (B, D) float; V_bar or T_bar, the mean of real rows
    salient: Tensor  # (B, D) float; mean of ReLU of the real rows of V or T

    def trimmed(self) -> "Fragments":
        """The same without the columns that are padding in all of them."""
        width = int(self.mask.sum(dim=1).max())
        return Fragments(self.rows[:, :width], self.mask[:, :width], self.whole, self.salient)


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
    """W_r of the graphs: linear, as the equations have it. ``graph_norm: batch`` (*inferred*, after
    VSRN) puts a BatchNorm behind; a scale that starts at zero makes the graph start as nothing."""

    def __init__(self, config: Config):
        super().__init__()
        self.linear = nn.Linear(config.embed_size, config.embed_size)
        self.norm = None
        if config.graph_norm == "batch":
            self.norm = BatchNorm(config.embed_size)
            nn.init.constant_(self.norm.weight, config.graph_norm_scale)

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        """(B, N, D), (B, N) bool -> (B, N, D), zero on padding, which the statistics do not see."""
        if self.norm is None:
            return self.linear(rows) * mask[..., None]
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
    """Regions, enhanced by a spatial and a semantic graph (Eq. 1-2)::

        V^s = W_r1(A^s V W_g^s) + V;  V^f = W_r3(W_r2(A^v V^s W_g^v) + V^s) + V

    *Inferred*: the nodes of the semantic graph are V^s, as the text says twice; Eq. 2 prints V.
    Without relations V^f = W_r3(V^s) + V; without either graph V^f = V."""

    def __init__(self, config: Config):
        super().__init__()
        size = config.embed_size
        self.overlap = config.overlap
        self.symmetric = config.symmetric_relations
        self.nodes, self.global_from = config.semantic_nodes, config.global_from
        self.projection = nn.Linear(config.img_dim, size)
        self.affinity = self.relation_graph = None
        if config.use_spatial_graph:
            self.affinity = Affinity(size)
            self.spatial_graph = nn.Linear(size, size, bias=False)  # W_g^s
            self.spatial_residual = Residual(config)  # W_r1
        if config.use_semantic_graph:
            self.relation_graph = nn.Linear(size, size, bias=False)  # W_g^v
            self.relation_residual = Residual(config)  # W_r2
        self.joint_residual = None
        if config.use_spatial_graph or config.use_semantic_graph:
            self.joint_residual = Residual(config)  # W_r3

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
        joint = spatial
        if self.relation_graph is not None:
            relations = batch.arrays["relations"]  # the subject, a row, receives
            if self.symmetric:
                relations = torch.maximum(relations, relations.transpose(1, 2))
            edges = (relations * real / count).to(plain.dtype)
            nodes = spatial if self.nodes == "spatial" else plain
            joint = self.relation_residual(edges @ self.relation_graph(nodes), mask) + spatial
        rows = plain
        if self.joint_residual is not None:
            rows = self.joint_residual(joint, mask) + plain
        return _fragments(rows, plain, mask, self.global_from)


class SentenceEncoder(TokenEncoder):
    """Pieces of words, enhanced by a fully connected graph (Eq. 3-4)."""

    def __init__(self, config: Config, bert: BertModel):
        super().__init__(bert, config.embed_size, frozen=config.bert_lr_scale == 0)
        self.global_from = config.global_from
        self.affinity = None
        if config.use_text_graph:
            self.affinity = Affinity(config.embed_size)
            self.graph = nn.Linear(config.embed_size, config.embed_size, bias=False)  # W_g^t
            self.residual = Residual(config)  # W_r

    def forward(self, batch: TextBatch) -> Fragments:
        """B captions; all real pieces count, [CLS] and [SEP] too (*inferred*)."""
        mask = batch.mask
        plain = rows = self.tokens(batch) * mask[..., None]  # T
        if self.affinity is not None:
            real = mask[:, :, None] & mask[:, None]
            count = mask.sum(dim=1)[:, None, None]
            edges = self.affinity(plain).masked_fill(~real, 0) / count
            rows = self.residual(edges @ self.graph(plain), mask) + plain
        return _fragments(rows, plain, mask, self.global_from)


def _fragments(rows: Tensor, plain: Tensor, mask: Tensor, global_from: str) -> Fragments:
    """V^f or T^f, and what is taken of V or T. *Inferred*: section 3.1 speaks of V and T alone
    where it names the average that gates and is scored against."""
    whole = mean_of_real(plain if global_from == "projected" else rows, mask)
    return Fragments(rows, mask, whole, mean_of_real(plain.relu(), mask))
