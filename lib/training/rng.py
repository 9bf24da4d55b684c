"""The random state of dropout, which checkpoints keep for every rank."""

import numpy as np
import torch
from torch import Tensor

from lib.distributed import rank, world_size

RandomState = dict[str, Tensor | None]


def seed_dropout(seed: int, updates: int) -> None:
    """Seed this rank's dropout as of ``updates``; no other rank draws the same."""
    words = np.random.SeedSequence((seed, updates, rank())).generate_state(1)
    torch.manual_seed(int(words[0]))


def random_state() -> RandomState:
    """Of this rank."""
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_state(states: list[RandomState], seed: int, updates: int) -> None:
    """Restore every rank's state; with another world_size each rank is seeded anew."""
    if len(states) != world_size():
        seed_dropout(seed, updates)
        return
    cpu, cuda = (states[rank()][device] for device in ("cpu", "cuda"))
    if cpu is not None:
        torch.set_rng_state(cpu)
    if torch.cuda.is_available() and cuda is not None:
        torch.cuda.set_rng_state(cuda)
