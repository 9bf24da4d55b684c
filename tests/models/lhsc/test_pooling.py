"""Global vectors: padding is not seen, and a slot has statistics of its own."""

import torch
from torch.nn.functional import pad

from lib.models.lhsc.pooling import GlobalPooling
from tests.models.lhsc.small import REGIONS, WIDTH


def test_padding_is_not_seen():
    torch.manual_seed(0)
    pooling, rows = GlobalPooling(WIDTH, 0.0), torch.randn(2, 4, WIDTH)
    mask = torch.tensor([[True] * 4, [True] * 2 + [False] * 2])
    rows = rows * mask[..., None]
    found = pooling(rows, mask)
    weights = pooling.weights(rows, mask)
    assert weights[~mask].abs().sum() == 0
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))
    torch.testing.assert_close(found[0], pooling(rows[:1])[0])
    torch.testing.assert_close(found[1], pooling(rows[1:, :2])[0])
    torch.testing.assert_close(found, pooling(pad(rows, (0, 0, 0, 3)), pad(mask, (0, 3))))


def test_a_slot_s_statistics_run_over_images_and_values():
    pooling = GlobalPooling(WIDTH, 0.0, REGIONS)
    rows = torch.randn(6, REGIONS, WIDTH) * torch.arange(1, REGIONS + 1)[:, None]
    each = pooling.each(rows)
    found = pooling._by_slot(pooling.slot_norm, each)
    torch.testing.assert_close(found, torch.nn.BatchNorm1d(REGIONS)(each))
