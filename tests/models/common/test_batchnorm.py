"""BatchNorm over all ranks' rows; tests/training/test_ddp.py compares two real processes."""

import torch
from torch import nn

from lib.models.common import batchnorm
from lib.models.common.batchnorm import BatchNorm, synchronise


def test_the_synchronised_form_is_torch_s(monkeypatch):
    """With the sums over ranks left out, as one rank of one has them."""
    monkeypatch.setattr(batchnorm, "world_size", lambda: 2)
    plain, ours = nn.BatchNorm1d(3), BatchNorm(3)
    synchronise(ours)
    assert not BatchNorm.synchronised
    rows = torch.randn(6, 3, dtype=torch.double).float() * 4 + 1
    torch.testing.assert_close(ours(rows), plain(rows))
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)
    ours.eval()
    torch.testing.assert_close(ours(rows), plain.eval()(rows))
    assert ours.train()(rows.bfloat16()).dtype == torch.bfloat16


def test_every_batchnorm_of_a_model_is_synchronised():
    model = nn.Sequential(BatchNorm(2), nn.Sequential(nn.ReLU(), BatchNorm(2)))
    synchronise(model)
    assert model[0].synchronised
    assert model[1][1].synchronised
