"""Generalized pooling operator (GPO), after Chen et al., "Learning the Best Pooling Strategy for
Visual Semantic Embedding" (VSE-infinity), as 3SHNet uses it for images and sentences alike."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lib.models.layers import sinusoid

POSITION_CHANNELS = 32
TEMPERATURE = 0.1


class GeneralizedPooling(nn.Module):
    """A weighted sum of each dimension's values in descending order; the weights are learnt."""

    def __init__(self, hidden: int = 32):
        super().__init__()
        self.gru = nn.GRU(POSITION_CHANNELS, hidden, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(hidden, 1, bias=False)

    def weights(self, lengths: Tensor, width: int) -> Tensor:
        """Pooling weights over sorted positions.

        Args:
            lengths: (B,) int64, at least 1 and at most ``width``.
            width: number of positions to return, N.

        Returns:
            (B, N) float32; each row sums to one over its length and is zero behind it.
        """
        # The weights depend on a set's size alone: one GRU pass per distinct size, not per row.
        sizes, which = torch.unique(lengths, return_inverse=True)
        codes = sinusoid(width, POSITION_CHANNELS, lengths.device).expand(len(sizes), -1, -1)
        with torch.autocast(lengths.device.type, enabled=False):  # tiny, and a GRU wants float32
            packed = pack_padded_sequence(
                codes, sizes.cpu(), batch_first=True, enforce_sorted=False
            )
            states, _ = pad_packed_sequence(self.gru(packed)[0], True, total_length=width)
            forward, backward = states.chunk(2, dim=-1)
            scores = self.linear((forward + backward) / 2).squeeze(-1)
        beyond = torch.arange(width, device=lengths.device) >= sizes[:, None]
        return (scores / TEMPERATURE).masked_fill(beyond, -torch.inf).softmax(dim=-1)[which]

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        """Pool a set of vectors.

        Args:
            rows: (B, N, D) float; the order of the rows does not matter.
            mask: (B, N) bool, true on the rows that belong to the set, at least one per image.

        Returns:
            (B, D) float32.
        """
        lengths = mask.sum(dim=1)
        weights = self.weights(lengths, rows.shape[1])
        # Dimensions are sorted independently, so each becomes a contiguous line of N values; what
        # is not in the set sinks to the end, where it is zeroed to keep 0 * -inf out of the sum.
        lines = rows.float().transpose(1, 2).masked_fill(~mask[:, None], -torch.inf)  # (B, D, N)
        ranked = lines.contiguous().sort(dim=-1, descending=True).values
        behind = torch.arange(rows.shape[1], device=rows.device) >= lengths[:, None]
        ranked = ranked.masked_fill(behind[:, None], 0.0)
        with torch.autocast(rows.device.type, enabled=False):  # the sum stays float32 in bf16 runs
            return torch.einsum("bdn,bn->bd", ranked, weights)
