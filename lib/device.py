"""The device, the arithmetic precision, and the number of loading processes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lib.errors import InputError


def default_workers(most: int = 4, processes: int = 1) -> int:
    """Loading processes: one per core that this process may use, at most ``most``; the cores are
    shared between ``processes`` on this machine."""
    # Where the set of cores cannot be asked for (macOS, Windows), all of them are meant.
    ask = getattr(os, "sched_getaffinity", None)
    cores = len(ask(0)) if ask else os.cpu_count() or 1
    return min(most, max(cores // processes, 1))


def resolve_device(name: str) -> torch.device:
    """``auto`` (CUDA if available), ``cpu`` or ``cuda``. Raises InputError: CUDA is unavailable."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: PyTorch sees no CUDA GPU; cpu does without one")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def local_device(name: str, local_rank: int) -> torch.device:
    """As :func:`resolve_device`; of several GPUs of a machine each of its processes has its own.
    Raises InputError: CUDA is unavailable."""
    device = resolve_device(name)
    if device.type == "cpu":
        return device
    return torch.device("cuda", local_rank % torch.cuda.device_count())


def encoding_batch(device: torch.device) -> int:
    """Default batch size for encoding images or captions."""
    # On a CPU the activations of 32 captions stay in the cache; 128 take 1.2 times as long.
    return 32 if device.type == "cpu" else 128


@contextmanager
def precision_context(device: torch.device, precision: str) -> Iterator[None]:
    """A block whose matrix products and convolutions are computed in ``fp32``; ``tf32``, float32
    whose products keep 10 bits of the mantissa, on GPUs that have it (others compute fp32); or
    ``bf16``, autocast. Weights stay float32."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = precision == "tf32"
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
