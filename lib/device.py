"""Which device does the work, and how many processes feed it."""

import os

import torch

from lib.errors import InputError


def default_workers(most: int = 4) -> int:
    """Loading processes for this machine: one per core that this process may use, to ``most``."""
    # Where the set of cores cannot be asked for (macOS, Windows), all of them are meant.
    ask = getattr(os, "sched_getaffinity", None)
    cores = len(ask(0)) if ask else os.cpu_count() or 1
    return min(most, cores)


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
