"""The random state of dropout."""

import pytest
import torch

from lib.errors import InputError
from lib.training import rng


def test_a_state_comes_back():
    torch.manual_seed(1)
    state = rng.random_state()
    drawn = torch.rand(3)
    rng.set_random_state([state], 0, 0, "c.pth")
    assert torch.equal(torch.rand(3), drawn)


def test_another_number_of_ranks_is_seeded_anew():
    state = rng.random_state()

    def drawn(updates):
        rng.set_random_state([state, state], 7, updates, "c.pth")
        return torch.rand(3)

    assert torch.equal(drawn(4), drawn(4))
    assert not torch.equal(drawn(4), drawn(5))


def test_ranks_draw_apart(monkeypatch):
    draws = []
    for number in (0, 1):
        monkeypatch.setattr(rng, "rank", lambda number=number: number)
        rng.seed_dropout(3, 10)
        draws.append(torch.rand(3))
    assert not torch.equal(*draws)


def test_a_gpu_keeps_its_own(monkeypatch):
    """Where there is one."""
    kept, cuda = [], torch.ones(2, dtype=torch.uint8)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "set_rng_state", kept.append)
    state = rng.random_state()
    assert state["cuda"] is cuda
    rng.set_random_state([state], 0, 0, "c.pth")
    rng.set_random_state([state | {"cuda": None}], 0, 0, "c.pth")  # saved without a GPU
    assert kept == [cuda]


@pytest.mark.parametrize(
    "states",
    [None, [3], [{"cpu": 1, "cuda": None}], [{"cuda": None}],
     [{"cpu": torch.zeros(3, dtype=torch.uint8), "cuda": None}],
     [{"cpu": torch.zeros(5000), "cuda": None}]],
)  # fmt: skip
def test_what_is_no_state_is_refused(states):
    with pytest.raises(InputError, match=r"c\.pth: its random states are damaged"):
        rng.set_random_state(states, 0, 0, "c.pth")
