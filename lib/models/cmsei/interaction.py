"""CMSEI's interactions and scores (Ge et al., WACV 2023, Eq. 5-9).

I-T lets an image's regions attend to a sentence's words; T-I is its mirror. What follows calls the
attending side the query, the other the context. For one query x and one context y the equations
are, which ``tests/models/cmsei/plain.py`` computes in loops and float64::

    q = softmax(lambda cos(x, y)) y;  x = relu(W1(x * tanh(W2 q) + W3 q)) + x      # each round
    x = sigmoid(W_r x * whole y) * x + x + relu(plain x);  score = cos(mean(x), whole y)"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.utils.checkpoint import checkpoint

from lib.models.cmsei.config import Config
from lib.models.cmsei.graphs import Fragments
from lib.models.common.layers import unit

# Tensors of (rows, D) that a pair holds at once: without gradients, and with them.
HELD, HELD_IN_TRAINING = 6, 20


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
    whole: Tensor  # (C, 1, D)


class Interaction(nn.Module):
    """Every query's score with every context (Eq. 5-9)."""

    def __init__(self, config: Config):
        super().__init__()
        size = config.embed_size
        self.clipped = config.attention == "clipped_l2norm"
        # *Inferred*: both as SCAN and DIME have them.
        usual = 4.0 if config.direction == "i2t" else 9.0
        self.smoothing = usual if config.smoothing is None else config.smoothing
        count = config.rounds if config.use_local_interaction else 0
        # *Inferred*: the process is done twice, the second on the first's output, each with
        # parameters of its own.
        self.rounds = nn.ModuleList(Round(size) for _ in range(count))
        self.importance = nn.Linear(size, size) if config.use_global_interaction else None

    def forward(self, query: Fragments, context: Fragments, memory: float) -> Tensor:
        """(Q, C) float32 of Q queries and C contexts, in chunks of ``memory`` bytes. In training,
        chunks are computed again in the backward pass where they do not all fit."""
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

    def _rounds(self) -> list[Round]:
        return cast(list[Round], list(self.rounds))

    def _prepared(self, context: Fragments) -> _Context:
        rows = context.rows
        # Attention is linear in the rows that it averages, and its weights add up to one: W2 and
        # W3, and W1 behind W3, are applied to the rows once instead of to every pair's average.
        shifts = [r.fusion(r.shift(rows)) for r in self._rounds()]
        return _Context(
            context.mask[:, None],
            unit(rows).to(rows.dtype).transpose(1, 2),
            [r.gate(rows) for r in self._rounds()],
            shifts,
            context.whole[:, None],
        )

    def _again(self, query: Fragments, context: _Context) -> Tensor:
        return checkpoint(self._scores, query, context, use_reentrant=False)

    def _scores(self, query: Fragments, context: _Context) -> Tensor:
        """(C, Q) float32."""
        count, width, _ = query.rows.shape
        rows = query.rows.flatten(0, 1)[None]  # (1, Q K, D), later (C, Q K, D)
        for number in range(len(self.rounds)):
            rows, _ = self._round(number, rows, query, context)
        if self.importance is not None:
            agreement = self.importance(rows)
            if len(agreement) < len(context.whole):  # without rounds, all contexts' rows are alike
                agreement = agreement.expand(len(context.whole), -1, -1).clone()
            gate = _times(agreement, context.whole).sigmoid_()
            rows = _times(_plus(gate, 1), rows)
        with torch.autocast(rows.device.type, enabled=False):
            # A product with the mask's shares takes one pass; mean_of_real takes two.
            shares = query.mask.float() / query.mask.sum(dim=1, keepdim=True)
            sets = rows.float().unflatten(1, (count, width))
            mean = (shares[:, None] @ sets).squeeze(2)
            if self.importance is not None:
                mean = mean + query.salient
            return (unit(mean) * unit(context.whole)).sum(dim=-1)

    def _round(
        self, number: int, rows: Tensor, query: Fragments, context: _Context
    ) -> tuple[Tensor, Tensor]:
        """One local-local interaction of (1 or C, Q K, D) rows: the rows that it makes, (C, Q K,
        D), and how the queries' rows attend to the contexts', (C, Q K, N)."""
        round_ = self._rounds()[number]
        gates, shifts = context.gates[number], context.shifts[number]
        # The cosine: products are shorter than rows, and so cheaper to divide.
        similarity = (rows @ context.directions) / (_Length.apply(rows) + 1e-8)
        if self.clipped:
            similarity = _clipped(similarity.unflatten(1, query.mask.shape), query.mask)
        similarity = self.smoothing * similarity
        weights = similarity.masked_fill(~context.mask, -torch.inf).softmax(dim=-1)
        weights = weights.to(gates.dtype)
        gate = (weights @ gates).tanh_()
        fused = linear(_times(gate, rows), round_.fusion.weight)
        fused = fused.baddbmm_(weights, shifts.to(fused.dtype)).relu_()
        return _plus(fused, rows), weights

    def attention(self, query: Fragments, context: Fragments) -> list[Tensor]:
        """How the rows of B queries attend to those of B contexts, pair by pair, in each round:
        (B, K, N) float32, zero on padding."""
        found: list[list[Tensor]] = [[] for _ in self.rounds]
        for pair in range(len(query)):
            one, other = query[pair : pair + 1], self._prepared(context[pair : pair + 1])
            rows = one.rows
            for number in range(len(self.rounds)):
                rows, weights = self._round(number, rows, one, other)
                found[number].append(weights.float() * one.mask[..., None])
        return [torch.cat(weights) for weights in found]


class _Length(torch.autograd.Function):
    """(..., D) -> (..., 1) at least float32, as ``vector_norm`` gives; its backward takes one pass
    over the rows where torch's takes three."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        wide = torch.promote_types(rows.dtype, torch.float32)
        length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True, dtype=wide)
        ctx.save_for_backward(rows, length)
        return length

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        rows, length = ctx.saved_tensors
        share = torch.where(length > 0, gradient / length, 0)
        return rows * share.to(rows.dtype)


def _clipped(cosines: Tensor, mask: Tensor) -> Tensor:
    """(C, Q, K, N) cosines of Q queries' K rows, (Q, K) bool -> (C, Q K, N) as SCAN's Eq. 1 and
    DIME have them: [c]_+, of unit length over the real rows of a query."""
    positive = cosines.relu() * mask[..., None]
    length = positive.norm(dim=2, keepdim=True)
    return (positive / (length + 1e-8)).flatten(1, 2)


def _times(one: Tensor, other: Tensor) -> Tensor:
    """The product, into ``one`` where no gradient needs it."""
    return one * other if torch.is_grad_enabled() else one.mul_(other)


def _plus(one: Tensor, other: Tensor | int) -> Tensor:
    """The sum, into ``one`` where no gradient needs it."""
    return one + other if torch.is_grad_enabled() else one.add_(other)


def _by_length(fragments: Fragments) -> tuple[Fragments, Tensor]:
    """Longest first, and the place that each one has come to."""
    order = fragments.mask.sum(dim=1).argsort(descending=True, stable=True)
    return fragments[order], order.argsort()
