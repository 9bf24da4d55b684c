"""Generalized pooling operator (GPO), after Chen et al., "Learning the Best Pooling Strategy for
Visual Semantic Embedding" (VSE-infinity), for images and sentences alike."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lib.models.common import position_gru
from lib.models.common.layers import sinusoid

POSITION_CHANNELS = 32
TEMPERATURE = 0.1


def _falling(lines: Tensor) -> Tensor:
    """(..., N) float32 -> (..., N) int64, where each line's values stand in falling order."""
    if lines.device.type == "cpu":  # NumPy's vectorised sorts take a tenth of PyTorch's time
        return torch.from_numpy(np.argsort((-lines).numpy(), axis=-1))
    return lines.argsort(dim=-1, descending=True)


class _RankedSum(torch.autograd.Function):
    """``(lines sorted, falling) @ weights``, which keeps half of what autograd would."""

    @staticmethod
    def forward(context: Any, lines: Tensor, behind: Tensor, weights: Tensor) -> Tensor:
        """(B, D, N) float32 lines, (B, N) bool ranks of no set, (B, N) float32 -> (B, D)."""
        if any(context.needs_input_grad):
            order = _falling(lines)
            ranked = lines.gather(-1, order)
            # A set has some hundred values: 16 bits hold their places.
            context.save_for_backward(order.to(torch.int16), ranked, weights)
        else:
            ranked = _sorted(lines)
        ranked.masked_fill_(behind[:, None], 0.0)  # keeps 0 * -inf out of the sum
        return torch.bmm(ranked, weights[..., None]).squeeze(-1)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, Tensor]:
        """A value's gradient is its rank's weight times its dimension's."""
        order, ranked, weights = context.saved_tensors
        by_rank = gradient[..., None] * weights[:, None]
        to_lines = torch.empty_like(ranked).scatter_(-1, order.long(), by_rank)
        return to_lines, None, torch.bmm(gradient[:, None], ranked).squeeze(1)


def _sorted(lines: Tensor) -> Tensor:
    if lines.device.type == "cpu":
        rising = (-lines).numpy()
        rising.sort(axis=-1)
        return torch.from_numpy(rising).neg_()
    return lines.sort(dim=-1, descending=True).values


class GeneralizedPooling(nn.Module):
    """A weighted sum of each dimension's values in descending order; the weights are learnt."""

    def __init__(self, hidden: int = 32):
        super().__init__()
        self.gru = nn.GRU(POSITION_CHANNELS, hidden, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(hidden, 1, bias=False)

    def weights(self, lengths: Tensor, width: int) -> Tensor:
        """Pooling weights over sorted positions: (B,) int64 lengths from 1 to ``width``, N ->
        (B, N) float32; each row sums to one over its length and is zero behind it."""
        # The weights depend on a set's size alone: one GRU pass per distinct size, not per row.
        sizes, which = torch.unique(lengths, return_inverse=True)
        codes = sinusoid(width, POSITION_CHANNELS, lengths.device)
        with torch.autocast(lengths.device.type, enabled=False):  # tiny, and a GRU wants float32
            scores = self.linear(self._states(codes, sizes)).squeeze(-1)
        beyond = torch.arange(width, device=lengths.device) >= sizes[:, None]
        return (scores / TEMPERATURE).masked_fill(beyond, -torch.inf).softmax(dim=-1)[which]

    def _states(self, codes: Tensor, sizes: Tensor) -> Tensor:
        """(N, C) codes and (S,) sizes -> (S, N, hidden), the mean of the GRU's directions."""
        if codes.device.type == "cpu":
            return position_gru.states(self.gru, codes, sizes)
        every = codes.expand(len(sizes), -1, -1)
        packed = pack_padded_sequence(every, sizes.cpu(), True, enforce_sorted=False)
        found, _ = pad_packed_sequence(self.gru(packed)[0], True, total_length=len(codes))
        forward, backward = found.chunk(2, dim=-1)
        return (forward + backward) / 2

    def by_row(self, rows: Tensor, mask: Tensor) -> Tensor:
        """Which weight each value gets, for highlight maps: (B, N, D) float rows and (B, N) bool ->
        (B, N, D) float32. In each dimension they sum to one over the set, and
        ``(by_row * rows).sum(1)`` is what :meth:`forward` pools."""
        weights = self.weights(mask.sum(dim=1), rows.shape[1])[..., None]
        lines = rows.float().masked_fill(~mask[..., None], -torch.inf)
        order = lines.argsort(dim=1, descending=True, stable=True)
        return torch.zeros_like(lines).scatter_(1, order, weights.expand_as(lines))

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        """Pool sets of vectors: (B, N, D) float rows in any order, and (B, N) bool, true on those
        that belong to the set, at least one -> (B, D) float32."""
        lengths = mask.sum(dim=1)
        weights = self.weights(lengths, rows.shape[1])
        # Dimensions are sorted independently, so each becomes a contiguous line of N values; what
        # is not in the set sinks to the end.
        lines = rows.float().transpose(1, 2).masked_fill(~mask[:, None], -torch.inf)  # (B, D, N)
        behind = torch.arange(rows.shape[1], device=rows.device) >= lengths[:, None]
        with torch.autocast(rows.device.type, enabled=False):  # the sum stays float32 in bf16 runs
            return _RankedSum.apply(lines.contiguous(), behind, weights)
