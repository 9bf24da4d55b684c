"""What a frozen text network makes of each caption, kept, so that training computes it once."""

import numpy as np
import torch
from torch import Tensor

from lib.batch import TextBatch, row_mask


class WordCache:
    """The network's last states for the ids of a split's captions, in main memory."""

    def __init__(self, lengths: np.ndarray, size: int, dtype: torch.dtype):
        """Make room for captions of ``lengths`` ids, (captions,) int64, and states of ``size``."""
        ends = torch.from_numpy(np.cumsum(lengths))
        self.starts = ends - torch.from_numpy(lengths)
        self.states = torch.empty(int(lengths.sum()), size, dtype=dtype)

    @staticmethod
    def gigabytes(lengths: np.ndarray, size: int, dtype: torch.dtype) -> float:
        """The memory that a cache takes, in units of 10^9 bytes."""
        return int(lengths.sum()) * size * dtype.itemsize / 1e9

    def _places(self, batch: TextBatch) -> Tensor:
        """(B, N) int64; those of padded ids are of other captions."""
        starts = self.starts[batch.indices.cpu()][:, None]
        return (starts + torch.arange(batch.ids.shape[1])).clamp(max=len(self.states) - 1)

    def keep(self, batch: TextBatch, states: Tensor) -> None:
        """Keep (B, N, size) states of B captions."""
        real = batch.mask.cpu()
        self.states[self._places(batch)[real]] = states.to("cpu", self.states.dtype)[real]

    def of(self, batch: TextBatch) -> Tensor:
        """B captions of the split -> (B, N, size) on their device, zero where padded."""
        found = self.states[self._places(batch)]
        real = row_mask(batch.lengths.cpu(), batch.ids.shape[1])
        return (found * real[..., None]).to(batch.ids.device, non_blocking=True)
