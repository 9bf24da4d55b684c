"""Micro-batches: a network's activations are kept for a few rows and recomputed in backward."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def chunked_forward(
    compute: Callable[..., Tensor], micro_batch: int | None, *tensors: Tensor
) -> Tensor:
    """``compute(*tensors)`` with the activations of ``micro_batch`` rows, and equal gradients.

    What follows sees the whole batch, so that a loss keeps its negatives and a normalisation its
    statistics. (Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited
    Setup".) ``compute`` must treat each row for itself, as BERT does, and a ResNet whose statistics
    are frozen."""
    if micro_batch is None or micro_batch >= len(tensors[0]) or not torch.is_grad_enabled():
        return compute(*tensors)
    chunks = zip(*(tensor.split(micro_batch) for tensor in tensors), strict=True)
    return torch.cat([checkpoint(compute, *chunk, use_reentrant=False) for chunk in chunks])


def set_limits(model: nn.Module, micro_batch: int | None, pair_memory_gb: float) -> None:
    """Set how much a model may hold at once: rows whose activations a text network or a backbone
    keeps (None: all), and memory for one chunk of pairs, in a family that scores pairs."""
    for module in model.modules():
        for name, value in (("micro_batch", micro_batch), ("pair_memory_gb", pair_memory_gb)):
            if hasattr(module, name):
                setattr(module, name, value)
