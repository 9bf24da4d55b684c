"""CMSEI (Ge et al., WACV 2023): graphs within a modality, interactions between the two.

There is no public code: where the paper leaves something open, what is done here is marked
*inferred*. Equations are the paper's. I-T lets an image's regions attend to a sentence's words; T-I
is its mirror, and what follows calls the attending side the query, the other the context.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.utils.checkpoint import checkpoint
from transformers import BertModel

from lib.batch import ImageBatch, Tensors, TextBatch
from lib.config import ModelConfig
from lib.models.layers import unit
from lib.models.statistics import BatchNorm
from lib.models.text import Words

# Tensors of (rows, D) that a pair holds at once: without gradients, and with them.
HELD, HELD_IN_TRAINING = 6, 20
CPU_CHUNK_GB = 0.05  # more than the processor's cache and the allocator keep at hand is slower


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

    def __init__(self, config: ModelConfig):
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
        plain = self.projection(batch.features) * mask[..., None]  # V
        real = mask[:, :, None] & mask[:, None]
        count = mask.sum(dim=1)[:, None, None]  # *inferred*: affinities are divided by K
        spatial = plain
        if self.affinity is not None:
            near = (iou(batch.boxes) > self.overlap) & real
            edges = self.affinity(plain).masked_fill(~near, 0) / count
            spatial = self.spatial_residual(edges @ self.spatial_graph(plain), mask) + plain
        rows = spatial
        if self.relation_graph is not None:
            edges = (batch.relations * real / count).to(plain.dtype)
            related = self.relation_residual(edges @ self.relation_graph(plain), mask)
            rows = self.joint_residual(related + spatial, mask) + plain
        return Fragments(rows, mask, mean_of_real(plain, mask), mean_of_real(plain.relu(), mask))


class SentenceEncoder(Words):
    """Pieces of words, enhanced by a fully connected graph (Eq. 3-4)."""

    def __init__(self, config: ModelConfig, bert: BertModel):
        super().__init__(bert, config.embed_size)
        self.affinity = None
        if config.use_text_graph:
            self.affinity = Affinity(config.embed_size)
            self.graph = nn.Linear(config.embed_size, config.embed_size, bias=False)  # W_g^t
            self.residual = Residual(config.embed_size)  # W_r

    def forward(self, batch: TextBatch) -> Fragments:
        """B captions; all real pieces count, [CLS] and [SEP] too (*inferred*)."""
        mask = batch.mask
        plain = self.words(batch) * mask[..., None]  # T
        rows = plain
        if self.affinity is not None:
            real = mask[:, :, None] & mask[:, None]
            count = mask.sum(dim=1)[:, None, None]
            edges = self.affinity(plain).masked_fill(~real, 0) / count
            rows = self.residual(edges @ self.graph(plain), mask) + plain
        return Fragments(rows, mask, mean_of_real(plain, mask), mean_of_real(plain.relu(), mask))


class Round(nn.Module):
    """The parameters of one local-local interaction (Eq. 7)."""

    def __init__(self, size: int):
        super().__init__()
        self.fusion = nn.Linear(size, size)  # W1
        self.gate = nn.Linear(size, size)  # W2
        self.shift = nn.Linear(size, size)  # W3


@dataclass(frozen=True)
class _Context:
    """What all queries need of C contexts of N rows."""

    mask: Tensor  # (C, 1, N)
    directions: Tensor  # (C, D, N); rows of unit length, turned
    gates: list[Tensor]  # of each round: (C, N, D), W2 y
    shifts: list[Tensor]  # of each round: (C, N, D), W1 W3 y
    plain: Tensor  # (C, 1, D)
    target: Tensor  # (C, 1, D)


class Interaction(nn.Module):
    """Every query's score with every context (Eq. 5-9)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        size = config.embed_size
        self.smoothing = config.smoothing
        count = config.rounds if config.use_local_interaction else 0
        # *Inferred*: the process is done twice, the second on the first's output, each with
        # parameters of its own.
        self.rounds = nn.ModuleList(Round(size) for _ in range(count))
        self.importance = nn.Linear(size, size) if config.use_global_interaction else None

    def forward(self, query: Fragments, context: Fragments, memory: float) -> Tensor:
        """(Q, C) float32 of Q queries and C contexts, in chunks of ``memory`` bytes.

        In training, chunks are computed again in the backward pass where they do not all fit.
        """
        training = torch.is_grad_enabled()
        held = HELD_IN_TRAINING if training else HELD
        # By length, or one long caption would make every chunk as wide as it is.
        query, query_places = _by_length(query)
        context, context_places = _by_length(context)
        lengths = query.mask.sum(dim=1).tolist()
        count, size = len(query), query.rows.shape[-1]

        def pairs(width: int) -> int:
            return max(int(memory / (held * width * size * 4)), 1)

        score = self._scores
        if training and pairs(lengths[0]) < count * len(context):
            score = self._again
        # What is done once per context pays the more, the more queries it is used for.
        wide = max(min(len(context), int(pairs(lengths[0]) ** 0.5)), 1)
        starts = [0]
        while starts[-1] < count:
            starts.append(min(starts[-1] + max(pairs(lengths[starts[-1]]) // wide, 1), count))
        parts = [query[a:b].trimmed() for a, b in pairwise(starts)]
        columns = []
        for start in range(0, len(context), wide):
            shared = self._prepared(context[start : start + wide].trimmed())
            columns.append(torch.cat([score(part, shared) for part in parts], dim=1))
        return torch.cat(columns).T[query_places][:, context_places]

    def _prepared(self, context: Fragments) -> _Context:
        rows = context.rows
        # Attention is linear in the rows that it averages, and its weights add up to one: W2 and
        # W3, and W1 behind W3, are applied to the rows once instead of to every pair's average.
        shifts = [r.fusion(r.shift(rows)) for r in self.rounds]
        return _Context(
            context.mask[:, None],
            unit(rows).transpose(1, 2),
            [r.gate(rows) for r in self.rounds],
            shifts,
            context.plain[:, None],
            # *Inferred*: "the global sentence features" are the mean of T^f.
            unit(mean_of_real(rows, context.mask))[:, None],
        )

    def _again(self, query: Fragments, context: _Context) -> Tensor:
        return checkpoint(self._scores, query, context, use_reentrant=False)

    def _scores(self, query: Fragments, context: _Context) -> Tensor:
        """(C, Q) float32."""
        count, width, _ = query.rows.shape
        rows = query.rows.flatten(0, 1)[None]  # (1, Q K, D), later (C, Q K, D)
        for round_, gates, shifts in zip(self.rounds, context.gates, context.shifts, strict=True):
            similarity = self.smoothing * (unit(rows) @ context.directions)
            weights = similarity.masked_fill(~context.mask, -torch.inf).softmax(dim=-1)
            weights = weights.to(gates.dtype)
            gate = (weights @ gates).tanh_()
            fused = linear(_times(gate, rows), round_.fusion.weight)
            fused = fused.baddbmm_(weights, shifts.to(fused.dtype)).relu_()
            rows = _plus(fused, rows)
        if self.importance is not None:
            agreement = self.importance(rows)
            if len(agreement) < len(context.plain):  # without rounds, all contexts' rows are alike
                agreement = agreement.expand(len(context.plain), -1, -1).clone()
            rows = torch.addcmul(rows, _times(agreement, context.plain).sigmoid_(), rows)
        with torch.autocast(rows.device.type, enabled=False):
            mean = mean_of_real(rows.float().unflatten(1, (count, width)), query.mask)
            if self.importance is not None:
                mean = mean + query.salient
            return (unit(mean) * context.target).sum(dim=-1)


def _times(one: Tensor, other: Tensor) -> Tensor:
    """The product, into ``one`` where no gradient needs it."""
    return one * other if torch.is_grad_enabled() else one.mul_(other)


def _plus(one: Tensor, other: Tensor) -> Tensor:
    """The sum, into ``one`` where no gradient needs it."""
    return one + other if torch.is_grad_enabled() else one.add_(other)


def _by_length(fragments: Fragments) -> tuple[Fragments, Tensor]:
    """Longest first, and the place that each one has come to."""
    order = fragments.mask.sum(dim=1).argsort(descending=True, stable=True)
    return fragments[order], order.argsort()


class CMSEI(nn.Module):
    """One version, I-T or T-I; the paper's model is the mean of both versions' scores."""

    pairwise = True  # a score needs both sides: there are no vectors to compare
    pair_memory_gb = 2.0

    def __init__(self, config: ModelConfig, bert: BertModel):
        super().__init__()
        self.direction = config.direction
        self.image_encoder = ImageEncoder(config)
        self.text_encoder = SentenceEncoder(config, bert)
        self.interaction = Interaction(config)

    def encode_images(self, batch: ImageBatch) -> Fragments:
        """B images -> V^f and means of V."""
        return self.image_encoder(batch)

    def encode_texts(self, batch: TextBatch) -> Fragments:
        """B captions -> T^f and means of T."""
        return self.text_encoder(batch)

    def score(self, images: Fragments, texts: Fragments) -> Tensor:
        """n images and m captions -> (n, m) float32, cosines."""
        memory = 1e9 * self.pair_memory_gb
        if images.rows.device.type == "cpu" and not torch.is_grad_enabled():
            memory = min(memory, 1e9 * CPU_CHUNK_GB)
        if self.direction == "i2t":
            return self.interaction(images, texts, memory)
        return self.interaction(texts, images, memory).T
