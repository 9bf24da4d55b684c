"""The small parts, each beside its equation."""

import math

import torch

from lib.models.common.layers import MLP, Embed, sinusoid, unit


def test_the_position_code():
    code = sinusoid(5, 6)
    for position in range(5):
        for j in range(3):
            angle = position * 10000 ** (-2 * j / 6)
            assert math.isclose(code[position, 2 * j], math.sin(angle), abs_tol=1e-5)
            assert math.isclose(code[position, 2 * j + 1], math.cos(angle), abs_tol=1e-5)


def test_an_mlp_normalises_over_every_row():
    torch.manual_seed(0)
    mlp = MLP(4, 3, 2)
    rows = torch.randn(2, 5, 4)
    hidden = (rows.view(10, 4) @ mlp.hidden.weight.T) + mlp.hidden.bias
    scaled = (hidden - hidden.mean(0)) / (hidden.var(0, unbiased=False) + mlp.norm.eps).sqrt()
    expected = scaled.relu() @ mlp.output.weight.T + mlp.output.bias
    torch.testing.assert_close(mlp(rows), expected.view(2, 5, 2))


def test_shares_are_embedded():
    torch.manual_seed(0)
    embed = Embed(5, 8).eval()
    shares = torch.rand(3, 5)
    values = (shares @ embed.linear.weight.T + embed.linear.bias).relu()
    centred = values - values.mean(1, keepdim=True)
    expected = centred / (centred.square().mean(1, keepdim=True) + embed.norm.eps).sqrt()
    torch.testing.assert_close(embed(shares), expected)
    assert not torch.equal(embed.train()(shares), expected)  # dropout


def test_unit_vectors():
    found = unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.bfloat16))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
