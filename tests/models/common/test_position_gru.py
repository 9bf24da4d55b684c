"""GPO's recurrent network beside torch's own GRU: values, and gradients of all its weights."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lib.models.common import position_gru
from lib.models.common.layers import sinusoid


def torch_states(gru, codes, sizes):
    every = codes.expand(len(sizes), -1, -1)
    packed = pack_padded_sequence(every, sizes, True, enforce_sorted=False)
    found, _ = pad_packed_sequence(gru(packed)[0], True, total_length=len(codes))
    forward, backward = found.chunk(2, dim=-1)
    return (forward + backward) / 2


@pytest.mark.parametrize("sizes", [[1], [7], [1, 2, 7], [3, 4, 5, 6, 9, 12]])
@pytest.mark.parametrize("scale", [1, 40])
def test_equals_torch(sizes, scale):
    torch.manual_seed(len(sizes))
    gru = nn.GRU(6, 5, batch_first=True, bidirectional=True).double()
    with torch.no_grad():
        for parameter in gru.parameters():
            parameter *= scale  # gates that are all but closed, or open
    codes, lengths = sinusoid(max(sizes) + 2, 6).double(), torch.tensor(sizes)
    codes = codes[: max(sizes)] if scale == 1 else codes  # positions that no set reaches
    inside = (torch.arange(len(codes)) < lengths[:, None])[..., None]
    upstream = torch.randn(len(sizes), len(codes), 5, dtype=torch.float64) * inside
    wanted = torch_states(gru, codes, lengths)
    (wanted * upstream).sum().backward()
    gradients = [parameter.grad.clone() for parameter in gru.parameters()]
    gru.zero_grad()
    found = position_gru.states(gru, codes, lengths)
    torch.testing.assert_close(found * inside, wanted * inside, rtol=0, atol=1e-12)
    (found * upstream).sum().backward()
    for parameter, gradient in zip(gru.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-11)


def test_without_gradients():
    gru = nn.GRU(6, 5, batch_first=True, bidirectional=True)
    codes, sizes = sinusoid(4, 6), torch.tensor([2, 4])
    with torch.inference_mode():
        found = position_gru.states(gru, codes, sizes)
    torch.testing.assert_close(found, position_gru.states(gru, codes, sizes).detach())
