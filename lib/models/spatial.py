"""VSpM, visual-spatial modelling: where regions are (3SHNet, spatial self-highlighting)."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from lib.models.layers import MLP, sinusoid

KEY_CHANNELS = 128
POSITION_CHANNELS = 8
SHARPNESS = 4.0  # factor on the attention logits, as released


class VSpM(nn.Module):
    """Lets each region attend over the panoptic label map and the position code of its pixels."""

    def __init__(self, embed_size: int, map_size: int):
        super().__init__()
        self.map_size = map_size
        self.query = MLP(embed_size, embed_size // 2, KEY_CHANNELS)
        self.key_conv = nn.Conv2d(1 + POSITION_CHANNELS, KEY_CHANNELS, 3, padding=1)
        self.key_norm = nn.BatchNorm2d(KEY_CHANNELS)
        self.output = MLP(KEY_CHANNELS, embed_size // 2, embed_size)
        code = sinusoid(map_size * map_size, POSITION_CHANNELS)
        code = code.T.reshape(1, POSITION_CHANNELS, map_size, map_size)
        self.register_buffer("position_code", code.contiguous(), persistent=False)

    def keys(self, seg_map: Tensor) -> Tensor:
        """(B, map_size, map_size) float, raw category numbers -> (B, map_size^2, 128) float."""
        # A convolution is linear in its input channels, and the position channels are the same
        # for every picture: convolve them once, and per picture the label channel alone.
        kernel = self.key_conv.weight
        positions = functional.conv2d(self.position_code, kernel[:, 1:], padding=1)
        labels = functional.conv2d(seg_map[:, None], kernel[:, :1], self.key_conv.bias, padding=1)
        return self.key_norm(labels + positions).relu().flatten(2).transpose(1, 2)

    def forward(self, projected: Tensor, mask: Tensor, seg_map: Tensor) -> Tensor:
        """Highlight regions.

        Args:
            projected: (B, K, D) float, F0.
            mask: (B, K) bool, true on real rows.
            seg_map: (B, map_size, map_size) float, raw category numbers, not scaled.

        Returns:
            (B, K, D) float; rows where ``mask`` is false carry no meaning.
        """
        query = self.query(projected)
        if torch.is_grad_enabled():
            # Keys are the largest activations, 6 MB a picture, and cheap: made again in backward.
            context = checkpoint(
                self._attend, query, seg_map, use_reentrant=False, preserve_rng_state=False,
                context_fn=lambda: (nullcontext(), self._statistics_kept()),
            )  # fmt: skip
        else:
            context = self._attend(query, seg_map)
        return self.output(query + context * mask[..., None])

    def _attend(self, query: Tensor, seg_map: Tensor) -> Tensor:
        # One head: the fused kernels take (B, heads, rows, channels) alone.
        keys = self.keys(seg_map)[:, None].contiguous()
        scale = SHARPNESS / KEY_CHANNELS**0.5
        return functional.scaled_dot_product_attention(query[:, None], keys, keys, scale=scale)[
            :, 0
        ]

    @contextmanager
    def _statistics_kept(self) -> Iterator[None]:
        """The normalisation has counted this batch already."""
        norm = self.key_norm
        momentum, norm.momentum = norm.momentum, 0.0
        counted = norm.num_batches_tracked.clone()
        try:
            yield
        finally:
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(counted)
