"""VSeM, visual-semantic modelling: which regions matter (3SHNet, semantic self-highlighting)."""

import torch
from torch import Tensor, nn

from lib.models.common.layers import MLP, Embed


class VSeM(nn.Module):
    """Highlights regions by their agreement with the picture's mean semantic segmentation."""

    def __init__(self, embed_size: int, categories: int):
        super().__init__()
        self.region_residual = MLP(embed_size, embed_size // 2, embed_size)
        self.query_embedding = Embed(categories, embed_size)
        self.query_residual = MLP(embed_size, embed_size // 2, embed_size)
        self.gate = nn.Linear(embed_size, embed_size)
        self.output = nn.Linear(embed_size, embed_size)

    def forward(self, projected: Tensor, mask: Tensor, semantic: Tensor) -> Tensor:
        """F0 (B, K, D) float, whose padded rows are the projection's bias, (B, K) bool, true on
        real rows, and shares (B, categories, cells, cells) float in [0, 1] -> (B, K, D) float;
        other rows carry no meaning."""
        regions, query, agreement = self._compared(projected, semantic)
        real = mask[..., None]
        highlighted = agreement.sigmoid() * real * regions
        gated = highlighted * torch.tanh(self.gate(highlighted))
        return self.output(gated + query[:, None] * real).relu()

    def agreement(self, projected: Tensor, mask: Tensor, semantic: Tensor) -> Tensor:
        """How far the gate of each region is open: (B, K) float32 in [0, 1], zero on padding;
        arguments as of :meth:`forward`."""
        agreement = self._compared(projected, semantic)[2]
        return agreement.squeeze(-1).float().sigmoid() * mask

    def _compared(self, projected: Tensor, semantic: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Regions (B, K, D), the picture's segmentation (B, D), their agreement (B, K, 1)."""
        regions = projected + self.region_residual(projected)
        query = self.query_embedding(semantic.mean(dim=(2, 3)))
        query = query + self.query_residual(query)
        return regions, query, (regions @ query[..., None]) / regions.shape[-1] ** 0.5
