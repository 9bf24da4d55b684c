"""The small parts that every encoder shares (MLP, Embed and position code)."""

import torch
from torch import Tensor, nn

from lib.models.common.batchnorm import BatchNorm


def sinusoid(length: int, channels: int, device: torch.device | None = None) -> Tensor:
    """Sinusoidal position code of positions 0..length-1, (length, channels) float32: channel 2j is
    sin(p 10000^(-2j/channels)), channel 2j+1 the cosine of the same angle."""
    position = torch.arange(length, device=device, dtype=torch.float32)
    pair = torch.arange(0, channels, 2, device=device, dtype=torch.float32)
    angle = position[:, None] * torch.pow(10000.0, -pair / channels)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)


class MLP(nn.Module):
    """Linear, BatchNorm, ReLU, Linear; the normalisation's statistics run over every row given."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.hidden = nn.Linear(inputs, hidden)
        self.norm = BatchNorm(hidden)
        self.output = nn.Linear(hidden, outputs)

    def forward(self, rows: Tensor) -> Tensor:
        """(..., inputs) float -> (..., outputs) float; padded rows count as rows."""
        hidden = self.hidden(rows)
        hidden = self.norm(hidden.flatten(0, -2)).view_as(hidden)
        return self.output(hidden.relu())


class Embed(nn.Module):
    """Linear, ReLU, Dropout 0.1, LayerNorm: category shares or presences into the joint space."""

    def __init__(self, categories: int, embed_size: int):
        super().__init__()
        self.linear = nn.Linear(categories, embed_size)
        self.dropout = nn.Dropout(0.1)
        self.norm = nn.LayerNorm(embed_size)

    def forward(self, shares: Tensor) -> Tensor:
        """(..., categories) float -> (..., embed_size) float."""
        return self.norm(self.dropout(self.linear(shares).relu()))


def unit(vectors: Tensor) -> Tensor:
    """v / (||v|| + 1e-8) over the last dimension, in float32."""
    vectors = vectors.float()
    return vectors / (vectors.norm(dim=-1, keepdim=True) + 1e-8)
