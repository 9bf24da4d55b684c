"""The pooling operator: a weighted sum of sorted values, by a plain loop, in any order of rows."""

import pytest
import torch

from lib.batch import row_mask
from lib.models.common import gpo
from lib.models.common.gpo import GeneralizedPooling

LENGTHS = torch.tensor([5, 1, 7])


@pytest.fixture
def pooling():
    torch.manual_seed(0)
    return GeneralizedPooling()


def plain(rows, lengths, weights):
    """out[d] = sum over k of weight[k] times the k-th largest value of dimension d."""
    pooled = []
    for one, count, own in zip(rows, lengths.tolist(), weights, strict=True):
        values = one[:count].sort(dim=0, descending=True).values
        pooled.append(sum(own[k] * values[k] for k in range(count)))
    return torch.stack(pooled)


def test_it_is_the_plain_sum_and_so_are_its_gradients(pooling):
    rows = torch.randn(3, 7, 4, requires_grad=True)
    found = pooling(rows, row_mask(LENGTHS, 7))
    expected = plain(rows, LENGTHS, pooling.weights(LENGTHS, 7))
    torch.testing.assert_close(found, expected)
    wanted = [rows, *pooling.parameters()]
    scale = torch.randn(3, 4)
    ours = torch.autograd.grad((found * scale).sum(), wanted)
    theirs = torch.autograd.grad((expected * scale).sum(), wanted)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)
    with torch.inference_mode():  # another path: nothing is kept for backward
        torch.testing.assert_close(pooling(rows, row_mask(LENGTHS, 7)), expected)


def test_the_weights_by_row_pool_what_is_pooled(pooling):
    rows, mask = torch.randn(3, 7, 4), row_mask(LENGTHS, 7)
    rows[0, 0] = rows[0, 1]  # of equal values either may come first, and the sum is the same
    with torch.no_grad():
        found = pooling.by_row(rows, mask)
        torch.testing.assert_close((found * rows).sum(dim=1), pooling(rows, mask))
        torch.testing.assert_close(found.sum(dim=1), torch.ones(3, 4))
        assert found[~mask].abs().sum() == 0


def test_weights_are_of_the_size_alone(pooling):
    with torch.no_grad():
        weights = pooling.weights(LENGTHS, 9)
        torch.testing.assert_close(weights.sum(dim=1), torch.ones(3))
        assert weights[0, 5:].abs().sum() == 0
        torch.testing.assert_close(pooling.weights(LENGTHS[:1], 5)[0], weights[0, :5])


def test_the_order_of_rows_and_what_lies_behind_them_change_nothing(pooling):
    rows = torch.randn(1, 6, 4)
    mask = row_mask(torch.tensor([6]), 6)
    with torch.no_grad():
        expected = pooling(rows, mask)
        torch.testing.assert_close(pooling(rows[:, torch.randperm(6)], mask), expected)
        padded = torch.cat([rows, torch.full((1, 3, 4), 1e9)], dim=1)
        torch.testing.assert_close(pooling(padded, row_mask(torch.tensor([6]), 9)), expected)


def test_sorting_on_a_gpu_is_sorting_on_a_cpu(monkeypatch):
    """PyTorch's sorts, which GPUs use, on the same values."""

    class Elsewhere(torch.Tensor):
        device = torch.device("cuda")

    lines = torch.randn(2, 3, 8)
    there = lines.as_subclass(Elsewhere)
    assert torch.equal(gpo._sorted(there).as_subclass(torch.Tensor), gpo._sorted(lines))
    assert torch.equal(gpo._falling(there).as_subclass(torch.Tensor), gpo._falling(lines))
