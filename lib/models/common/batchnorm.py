"""Batch normalisation whose statistics can be those of all ranks' rows together."""

import torch
from torch import Tensor, nn

from lib.distributed import all_reduce_sum, world_size


class BatchNorm(nn.BatchNorm1d):
    """BatchNorm1d; ``synchronised`` makes it torch's SyncBatchNorm, which needs a GPU."""

    synchronised = False
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, rows: Tensor) -> Tensor:
        """(R, channels) float -> the same shape and dtype."""
        if not (self.training and self.synchronised and world_size() > 1):
            return super().forward(rows)
        with torch.autocast(rows.device.type, enabled=False):
            values = rows.float()
            size = int(all_reduce_sum(torch.tensor(len(rows), device=rows.device)))
            mean = all_reduce_sum(values.sum(dim=0)) / size
            centred = values - mean
            variance = all_reduce_sum(centred.square().sum(dim=0)) / size
            self.update_running(mean, variance, size)
            scale = self.weight / (variance + self.eps).sqrt()
            return (centred * scale + self.bias).to(rows.dtype)

    @torch.no_grad()
    def update_running(self, mean: Tensor, variance: Tensor, size: int) -> None:
        """Update the running statistics as BatchNorm does, with a batch's mean and biased variance,
        (channels,) float32, over ``size`` rows."""
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (size / (size - 1)), self.momentum)


def synchronise(model: nn.Module) -> None:
    """Let every BatchNorm of a model compute its statistics over all ranks."""
    for module in model.modules():
        if hasattr(module, "synchronised"):
            setattr(module, "synchronised", True)  # noqa: B010 - any module may have it
