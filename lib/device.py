"""Which device does the work."""

import torch

from lib.errors import InputError


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
