"""VSpM, visual-spatial modelling: where regions are (3SHNet, spatial self-highlighting).

The plain computation, which ``tests/models/threeshnet/test_vspm.py`` holds equal to the fast one::

    keys = relu(batch_norm(conv3x3(cat(label map, position code))))      # (B, 128, map_size^2)
    context = softmax(4 q . keys / sqrt(128)) @ keys"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.distributed import all_reduce_mean, world_size
from lib.models.common.batchnorm import BatchNorm
from lib.models.common.layers import MLP, sinusoid

KEY_CHANNELS = 128
POSITION_CHANNELS = 8
SHARPNESS = 4.0  # factor on the attention logits, as released
CPU_CHUNK = 4  # images per chunk on a CPU, small enough that the allocator reuses its memory


class VSpM(nn.Module):
    """Lets each region attend over the panoptic label map and the position code of its pixels."""

    position_code: Tensor

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
        """F0 (B, K, D) float, (B, K) bool, true on real rows, and (B, map_size, map_size) float
        raw category numbers -> (B, K, D) float; other rows carry no meaning."""
        query = self.query(projected)
        patches = functional.unfold(seg_map[:, None], 3, padding=1).transpose(1, 2)
        labels, positions = self._affine(patches)
        device = patches.device.type
        if torch.is_autocast_enabled(device):  # once, and not per chunk and image
            dtype = torch.get_autocast_dtype(device)
            patches, labels, positions = (t.to(dtype) for t in (patches, labels, positions))
        size = CPU_CHUNK if device == "cpu" else len(seg_map)
        chunks = zip(query.split(size), patches.split(size), strict=True)
        context = torch.cat([self._attend(*chunk, labels, positions) for chunk in chunks])
        return self.output(query + context * mask[..., None])

    def attention(self, projected: Tensor, mask: Tensor, seg_map: Tensor) -> Tensor:
        """Where each region looks: (B, K, map_size, map_size) float32, which sums to one over the
        map and is zero on padding; arguments as of :meth:`forward`. In evaluation mode alone: the
        running statistics stay as they are."""
        patches = functional.unfold(seg_map[:, None], 3, padding=1).transpose(1, 2)
        labels, positions = self._affine(patches)
        keys = (patches @ labels + positions).relu()
        logits = self.query(projected) @ keys.transpose(1, 2) * (SHARPNESS / KEY_CHANNELS**0.5)
        weights = logits.float().softmax(dim=-1) * mask[..., None]
        return weights.unflatten(-1, (self.map_size, self.map_size))

    def _affine(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Fold convolution and normalisation into one affine map of the label patches.

        relu(batch_norm(conv(x))) = relu(patches @ labels + positions): the position channels are
        the same for every image and are convolved once. In training the batch statistics follow
        from the moments of the patches. Returns labels (9, 128), positions (map_size^2, 128)."""
        kernel, norm = self.key_conv.weight, self.key_norm
        with torch.autocast(patches.device.type, enabled=False):
            labels = kernel[:, 0].flatten(1).T
            positions = functional.conv2d(
                self.position_code, kernel[:, 1:], self.key_conv.bias, padding=1
            )
            positions = positions[0].flatten(1).T.contiguous()  # or each chunk's copy is slow
            if norm.training:
                mean, variance = self._moments(patches, labels, positions)
            else:
                mean, variance = norm.running_mean, norm.running_var
            scale = norm.weight / (variance + norm.eps).sqrt()
            return labels * scale, (positions - mean) * scale + norm.bias

    def _moments(self, patches: Tensor, labels: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """The convolution's mean and variance, (128,) float32 each; updates the running ones."""
        norm = self.key_norm
        over_ranks = all_reduce_mean if norm.synchronised else Tensor.detach
        # In float64: labels are up to 132 and far from their mean, yet the matrices are small.
        per_place = over_ranks(patches.mean(dim=0, dtype=torch.float64))  # (map_size^2, 9)
        centre = per_place.mean(dim=0)
        centred = (patches - centre).flatten(0, 1)  # float64
        spread = over_ranks(centred.T @ centred / len(centred))
        labels, positions = labels.double(), positions.double()
        mean = centre @ labels + positions.mean(dim=0)
        around = positions - positions.mean(dim=0)
        cross = (per_place - centre).T @ around / len(around)  # (9, 128)
        variance = ((spread @ labels + 2 * cross) * labels).sum(dim=0) + around.square().mean(dim=0)
        mean, variance = mean.float(), variance.float()
        size = len(centred) * (world_size() if norm.synchronised else 1)
        norm.update_running(mean, variance, size)
        return mean, variance

    def _attend(self, query: Tensor, patches: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
        """(B, K, 128), (B, map_size^2, 9), and what :meth:`_affine` gives -> (B, K, 128)."""
        size = len(query), -1, -1
        keys = torch.baddbmm(positions.expand(size), patches, labels.expand(size)).relu_()
        # One head: the fused kernels take (B, heads, rows, channels) alone.
        query, keys, scale = query[:, None], keys[:, None], SHARPNESS / KEY_CHANNELS**0.5
        return functional.scaled_dot_product_attention(query, keys, keys, scale=scale)[:, 0]
