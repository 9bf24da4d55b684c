"""Micro-batches: the same values and gradients, fewer rows at once."""

import pytest
import torch
from torch import nn

from lib.models.common.micro_batch import chunked_forward, set_limits


class Recorder(nn.Module):
    """A layer that notes how many rows it gets."""

    micro_batch = None

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.sizes = nn.Linear(3, 2), []

    def forward(self, rows, more):
        self.sizes.append(len(rows))
        return self.linear(rows * more).tanh()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 9, None])
def test_gradients_are_those_of_the_whole(size):
    plain, chunked = Recorder(), Recorder()
    rows, more = torch.randn(7, 3), torch.randn(7, 3)
    for layer, micro_batch in ((plain, None), (chunked, size)):
        chunked_forward(layer, micro_batch, rows, more).square().sum().backward()
    torch.testing.assert_close(chunked.linear.weight.grad, plain.linear.weight.grad)
    assert max(chunked.sizes) == min(size or 7, 7)


def test_without_gradients_nothing_is_cut():
    layer = Recorder()
    with torch.no_grad():
        chunked_forward(layer, 2, torch.ones(7, 3), torch.ones(7, 3))
    assert layer.sizes == [7]


def test_limits_reach_the_parts_that_have_them():
    inner, model = Recorder(), nn.Sequential(nn.Linear(1, 1))
    model.append(inner)
    model.pair_memory_gb = 2.0
    set_limits(model, 5, 0.5)
    assert (inner.micro_batch, model.pair_memory_gb) == (5, 0.5)
    assert not hasattr(inner, "pair_memory_gb")
    assert not hasattr(model, "micro_batch")
