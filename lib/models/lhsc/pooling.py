"""LHSC's global vectors: one for all regions of an image, one for all words of a sentence."""

import torch
from torch import Tensor, nn

from lib.models.common.batchnorm import BatchNorm
from lib.models.common.layers import unit


def xavier(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer, Xavier-uniform with zero bias."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class GlobalPooling(nn.Module):
    """Rows weighed by how much each agrees with their mean."""

    def __init__(self, size: int, dropout: float, slots: int | None = None):
        """With ``slots``, the number of rows of every set, each row is normalised by the statistics
        of its slot over all its values; so is the mean, by channel."""
        super().__init__()
        self.each, self.mean, self.common = xavier(size, size), xavier(size, size), xavier(size, 1)
        self.slot_norm = None if slots is None else BatchNorm(slots)
        self.mean_norm = None if slots is None else BatchNorm(size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, N, D) float, zero on padding, and (B, N) bool, true on real rows, if not all are ->
        (B, D) float32 of unit length."""
        return unit((self.weights(rows, mask)[:, None] @ rows.float()).squeeze(1))

    def weights(self, rows: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, N) float32, which sum to one over a set; arguments as of :meth:`forward`."""
        each = self.each(rows)
        count = rows.shape[1] if mask is None else mask.sum(dim=1, keepdim=True)
        mean = self.mean(rows.sum(dim=1) / count)
        if self.slot_norm is not None and self.mean_norm is not None:
            each = self._by_slot(self.slot_norm, each)
            mean = self.mean_norm(mean)
        each, mean = self.dropout(each.tanh()), self.dropout(mean.tanh())
        weights = self.common(each * mean[:, None]).squeeze(-1).float()
        if mask is not None:
            weights = weights.masked_fill(~mask, -torch.inf)
        return weights.softmax(dim=-1)

    @staticmethod
    def _by_slot(norm: BatchNorm, rows: Tensor) -> Tensor:
        turned = rows.transpose(1, 2)  # (B, D, slots)
        return norm(turned.flatten(0, 1)).view_as(turned).transpose(1, 2)
