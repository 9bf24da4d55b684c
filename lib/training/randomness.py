"""The random state of dropout, which checkpoints keep for every process of a run."""

import numpy as np
import torch
from torch import Tensor

from lib.processes import count, rank

RandomState = dict[str, Tensor | None]


def seed_dropout(seed: int, updates: int) -> None:
    """Begin this process's draws after ``updates`` of them; no other process has the same."""
    words = np.random.SeedSequence((seed, updates, rank())).generate_state(1)
    torch.manual_seed(int(words[0]))


def random_state() -> RandomState:
    """Of this process."""
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_state(states: list[RandomState] | RandomState, seed: int, updates: int) -> None:
    """Go on with the states of all processes; another number of them begins draws of its own."""
    if isinstance(states, dict):  # of a run before there were several processes
        states = [states]
    if len(states) != count():
        seed_dropout(seed, updates)
        return
    state = states[rank()]
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available() and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"])
