"""VSpM, visual-spatial modelling: where regions are (3SHNet, spatial self-highlighting)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.models.layers import MLP, sinusoid
from lib.models.statistics import BatchNorm
from lib.processes import average, count

KEY_CHANNELS = 128
POSITION_CHANNELS = 8
SHARPNESS = 4.0  # factor on the attention logits, as released
AT_ONCE = 4  # pictures attended at once on a CPU, for which the allocator keeps memory at hand


class VSpM(nn.Module):
    """Lets each region attend over the panoptic label map and the position code of its pixels."""

    def __init__(self, embed_size: int, map_size: int):
        super().__init__()
        self.map_size = map_size
        self.query = MLP(embed_size, embed_size // 2, KEY_CHANNELS)
        self.key_conv = nn.Conv2d(1 + POSITION_CHANNELS, KEY_CHANNELS, 3, padding=1)
        self.key_norm = BatchNorm(KEY_CHANNELS)
        self.output = MLP(KEY_CHANNELS, embed_size // 2, embed_size)
        code = sinusoid(map_size * map_size, POSITION_CHANNELS)
        code = code.T.reshape(1, POSITION_CHANNELS, map_size, map_size)
        self.register_buffer("position_code", code.contiguous(), persistent=False)

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
        patches = functional.unfold(seg_map[:, None], 3, padding=1).transpose(1, 2)
        labels, positions = self._affine(patches)
        at_once = AT_ONCE if seg_map.device.type == "cpu" else len(seg_map)
        parts = zip(query.split(at_once), patches.split(at_once), strict=True)
        context = torch.cat([self._attend(*part, labels, positions) for part in parts])
        return self.output(query + context * mask[..., None])

    def _affine(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Convolution and normalisation together: (9, 128) and (map_size^2, 128) float32, such
        that ``patches @ labels + positions`` is what the ReLU gets.

        Both are linear in the label map, and the position channels are the same for every
        picture: they are convolved once. In training the statistics are those of the products,
        which follow from the moments of the patches without making a product.
        """
        kernel, norm = self.key_conv.weight, self.key_norm
        with torch.autocast(patches.device.type, enabled=False):
            labels = kernel[:, 0].flatten(1).T
            positions = functional.conv2d(
                self.position_code, kernel[:, 1:], self.key_conv.bias, padding=1
            )
            positions = positions[0].flatten(1).T
            if norm.training:
                mean, variance = self._statistics(patches, labels, positions)
            else:
                mean, variance = norm.running_mean, norm.running_var
            scale = norm.weight / (variance + norm.eps).sqrt()
            return labels * scale, (positions - mean) * scale + norm.bias

    def _statistics(
        self, patches: Tensor, labels: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean and variance, (128,) float32 each, of the products; counts them as seen."""
        norm = self.key_norm
        everywhere = average if norm.synchronised else Tensor.detach
        # In float64: labels are up to 132 and far from their mean, yet the matrices are small.
        per_place = everywhere(patches.mean(dim=0, dtype=torch.float64))  # (map_size^2, 9)
        centre = per_place.mean(dim=0)
        centred = (patches - centre).flatten(0, 1)  # float64
        spread = everywhere(centred.T @ centred / len(centred))
        labels, positions = labels.double(), positions.double()
        mean = centre @ labels + positions.mean(dim=0)
        around = positions - positions.mean(dim=0)
        cross = (per_place - centre).T @ around / len(around)  # (9, 128)
        variance = ((spread @ labels + 2 * cross) * labels).sum(dim=0) + around.square().mean(dim=0)
        mean, variance = mean.float(), variance.float()
        norm.count_batch(mean, variance, len(centred) * (count() if norm.synchronised else 1))
        return mean, variance

    def _attend(self, query: Tensor, patches: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
        """(B, K, 128), (B, map_size^2, 9), and what :meth:`_affine` gives -> (B, K, 128)."""
        size = len(query), -1, -1
        keys = torch.baddbmm(positions.expand(size), patches, labels.expand(size)).relu_()
        # One head: the fused kernels take (B, heads, rows, channels) alone.
        keys, scale = keys[:, None], SHARPNESS / KEY_CHANNELS**0.5
        return functional.scaled_dot_product_attention(query[:, None], keys, keys, scale=scale)[
            :, 0
        ]
