"""Batches of which a network keeps no activations: computed in pieces, and again in backward."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def in_pieces(compute: Callable[..., Tensor], size: int | None, *tensors: Tensor) -> Tensor:
    """``compute(*tensors)`` with the activations of ``size`` rows at most, and equal gradients.

    What follows sees the whole batch, so that a loss keeps its negatives and a normalisation its
    statistics. (Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited
    Setup".)

    Args:
        compute: treats each row for itself, as BERT does, and a ResNet whose statistics are frozen.
        size: rows per piece; None: all at once.
        tensors: (B, ...) each.
    """
    if size is None or size >= len(tensors[0]) or not torch.is_grad_enabled():
        return compute(*tensors)
    pieces = zip(*(tensor.split(size) for tensor in tensors), strict=True)
    return torch.cat([checkpoint(compute, *piece, use_reentrant=False) for piece in pieces])


def set_limits(model: nn.Module, micro_batch: int | None, pair_memory_gb: float) -> None:
    """Tell the parts of a model that compute in pieces how large these may be.

    Args:
        model: of any family.
        micro_batch: captions, or pictures, that BERT, or a backbone, keeps activations of.
        pair_memory_gb: what a chunk of pairs may take, in a family that scores pairs.
    """
    for module in model.modules():
        if hasattr(module, "micro_batch"):
            module.micro_batch = micro_batch
        if hasattr(module, "pair_memory_gb"):
            module.pair_memory_gb = pair_memory_gb
