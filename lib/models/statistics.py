"""Batch normalisation whose statistics can be those of all processes' rows together."""

import torch
from torch import Tensor, nn

from lib.processes import count, total


class BatchNorm(nn.BatchNorm1d):
    """BatchNorm1d; ``synchronised``, what torch's SyncBatchNorm is, which only GPUs have."""

    synchronised = False

    def forward(self, rows: Tensor) -> Tensor:
        """(R, channels) float -> the same shape and dtype."""
        if not (self.training and self.synchronised and count() > 1):
            return super().forward(rows)
        with torch.autocast(rows.device.type, enabled=False):
            values = rows.float()
            size = int(total(torch.tensor(len(rows), device=rows.device)))
            mean = total(values.sum(dim=0)) / size
            centred = values - mean
            variance = total(centred.square().sum(dim=0)) / size
            self.count_batch(mean, variance, size)
            scale = self.weight / (variance + self.eps).sqrt()
            return (centred * scale + self.bias).to(rows.dtype)

    @torch.no_grad()
    def count_batch(self, mean: Tensor, variance: Tensor, size: int) -> None:
        """Let a batch's mean and biased variance, (channels,) float32, of ``size`` rows enter the
        running ones, as BatchNorm does."""
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (size / (size - 1)), self.momentum)


def synchronise(model: nn.Module) -> None:
    """Make all statistics of a model those of all processes together."""
    for module in model.modules():
        if hasattr(module, "synchronised"):
            module.synchronised = True
