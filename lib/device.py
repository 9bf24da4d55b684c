"""Which device does the work, in which arithmetic, and how many processes feed it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lib.errors import InputError


def default_workers(most: int = 4, sharing: int = 1) -> int:
    """Loading processes for this machine: one per core that this process may use, to ``most``;
    of ``sharing`` processes on it each gets its part."""
    # Where the set of cores cannot be asked for (macOS, Windows), all of them are meant.
    ask = getattr(os, "sched_getaffinity", None)
    cores = len(ask(0)) if ask else os.cpu_count() or 1
    return min(most, max(cores // sharing, 1))


def resolve_device(name: str) -> torch.device:
    """``auto`` (CUDA if there), ``cpu`` or ``cuda``.

    Raises:
        InputError: CUDA is asked for and not to be had.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: PyTorch sees no CUDA GPU; use cpu, or auto to take what is")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def encoding_batch(device: torch.device) -> int:
    """Images, or captions, that are encoded at once where nothing else is asked for."""
    # On a CPU what BERT makes of 32 captions stays in the cache; of 128 it takes 1.2 times as long.
    return 32 if device.type == "cpu" else 128


@contextmanager
def arithmetic(device: torch.device, precision: str) -> Iterator[None]:
    """A block whose matrix products and convolutions are computed in ``precision``.

    Args:
        device: where the block computes.
        precision: ``fp32``; ``tf32``, float32 whose products keep 10 bits of the mantissa, on GPUs
            that have it (others compute fp32); or ``bf16``, autocast. Weights stay float32.
    """
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = precision == "tf32"
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before
