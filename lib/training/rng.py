"""The random state of dropout, which checkpoints keep for every rank."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.distributed import rank, world_size
from lib.errors import InputError, first_line

RandomState = dict[str, Tensor | None]


def seed_dropout(seed: int, updates: int) -> None:
    """Seed this rank's dropout as of ``updates``; no other rank draws the same."""
    words = np.random.SeedSequence((seed, updates, rank())).generate_state(1)
    torch.manual_seed(int(words[0]))


def random_state() -> RandomState:
    """Of this rank."""
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_state(states: Any, seed: int, updates: int, source: str) -> None:
    """Restore every rank's state; with another world_size each rank is seeded anew. Raises
    InputError, which begins with ``source``: these are no random states."""
    fits = isinstance(states, list) and all(
        isinstance(state, dict) and all(_is_state(state.get(d, 0)) for d in ("cpu", "cuda"))
        for state in states
    )
    if not fits:
        raise InputError(f"{source}: its random states are damaged")
    if len(states) != world_size():
        seed_dropout(seed, updates)
        return
    cpu, cuda = (states[rank()][device] for device in ("cpu", "cuda"))
    try:
        if cpu is not None:
            torch.set_rng_state(cpu)
        if torch.cuda.is_available() and cuda is not None:
            torch.cuda.set_rng_state(cuda)
    except RuntimeError as error:  # of another size
        message = f"{source}: its random states are damaged ({first_line(error)})"
        raise InputError(message) from error


def _is_state(value: Any) -> bool:
    return value is None or (isinstance(value, Tensor) and value.dtype == torch.uint8)
