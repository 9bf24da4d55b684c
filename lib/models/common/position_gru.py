"""GPO's recurrent network over positions on a CPU, in one pass for all sizes of sets.

Its steps are tiny (32 values), so that autograd's bookkeeping takes far longer than its arithmetic:
two thirds of a GRU's time in training. Here both directions go through one loop of NumPy, with the
backward pass written out; products are torch's, because the threads of NumPy's would wait beside
torch's own, on the same cores (Cho et al., 2014, as ``torch.nn.GRU`` has it)::

    r, z = sigmoid(W_i x + b_i + W_h h + b_h)             # of each gate its own rows
    n = tanh(W_in x + b_in + r (W_hn h + b_hn))
    h' = (1 - z) n + z h

``tests/models/common/test_position_gru.py`` holds values and gradients equal to torch's."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def states(gru: nn.GRU, codes: Tensor, sizes: Tensor) -> Tensor:
    """The mean of both directions' states in sets of S sizes.

    Args:
        gru: one layer, both directions, with biases.
        codes: (N, C) float32, the position codes, the same for every set.
        sizes: (S,) int64, ascending, from 1 to N; a set has the first so many positions.

    Returns (S, N, H) float32; what is behind a set's end carries no meaning. On the CPU alone."""
    return _States.apply(
        codes, sizes, gru.weight_ih_l0, gru.weight_hh_l0, gru.bias_ih_l0, gru.bias_hh_l0,
        gru.weight_ih_l0_reverse, gru.weight_hh_l0_reverse, gru.bias_ih_l0_reverse,
        gru.bias_hh_l0_reverse,
    )  # fmt: skip


class _States(torch.autograd.Function):
    """Row 0 of every step's arrays is the forward direction, which is the same for all sizes; the
    rows behind it are the backward direction of each size, the largest first: step k is of position
    N - 1 - k, and the sets that reach it are the first rows."""

    @staticmethod
    def forward(context: Any, codes: Tensor, sizes: Tensor, *parameters: Tensor) -> Tensor:
        x, descending = codes.numpy(), sizes.numpy()[::-1]
        w_i, w_h, b_i, b_h, v_i, v_h, c_i, c_h = (p.detach().numpy() for p in parameters)
        n, width = len(x), w_h.shape[1]
        rows = 1 + len(descending)
        # How many rows take part in each step.
        active = 1 + np.searchsorted(-descending, -np.arange(n - 1, -1, -1), "left")
        ahead, back = _product(x, w_i.T) + b_i, (_product(x, v_i.T) + c_i)[::-1]
        h = np.zeros((n + 1, rows, width), x.dtype)
        gates = np.zeros((n, rows, 2 * width), x.dtype)
        new, recurrent = np.zeros((2, n, rows, width), x.dtype)
        inputs, recurrences = np.empty((2, rows, 3 * width), x.dtype)
        # Each row's products with the weights of both directions, of which it needs one half.
        weights = torch.from_numpy(np.concatenate((w_h, v_h)).T.copy())
        products = torch.empty((rows, 6 * width), dtype=weights.dtype)
        products_of = products.numpy()
        steps = torch.from_numpy(h).unbind()
        for k in range(n):
            m = active[k]
            inputs[0], inputs[1:m] = ahead[k], back[k]
            before, after = h[k, :m], h[k + 1, :m]
            torch.mm(steps[k][:m], weights, out=products[:m])
            np.add(products_of[0, : 3 * width], b_h, out=recurrences[0])
            np.add(products_of[1:m, 3 * width :], c_h, out=recurrences[1:m])
            both = gates[k, :m]
            np.add(inputs[:m, : 2 * width], recurrences[:m, : 2 * width], out=both)
            both *= 0.5  # sigmoid(a) is tanh(a / 2) / 2 + 1 / 2
            np.tanh(both, out=both)
            both += 1
            both *= 0.5
            recurrent[k, :m] = recurrences[:m, 2 * width :]
            candidate = new[k, :m]
            np.multiply(both[:, :width], recurrent[k, :m], out=candidate)
            candidate += inputs[:m, 2 * width :]
            np.tanh(candidate, out=candidate)
            np.subtract(before, candidate, out=after)
            after *= both[:, width:]
            after += candidate
        if any(context.needs_input_grad):
            context.kept = x, active, h, gates, new, recurrent
            context.save_for_backward(parameters[1], parameters[5])  # which tells if they change
        backward = h[:0:-1, :0:-1].transpose(1, 0, 2)  # (S, N, H), sizes ascending
        return torch.from_numpy((h[1:, 0] + backward) / 2)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Any, ...]:
        x, active, h, gates, new, recurrent = context.kept
        w_h, v_h = (weight.detach().numpy() for weight in context.saved_tensors)
        n, rows, width = new.shape
        half = gradient.numpy() / 2  # (S, N, H)
        arriving = np.zeros((n, rows, width), x.dtype)
        arriving[:, 0] = half.sum(axis=0)
        arriving[:, 1:] = half[::-1, ::-1].transpose(1, 0, 2)
        reset, update = gates[..., :width], gates[..., width:]
        # All factors that do not depend on the gradient, at once.
        to_new = (1 - update) * (1 - new * new)
        to_update = (h[:-1] - new) * update * (1 - update)
        to_reset = recurrent * reset * (1 - reset)
        inner = np.zeros((n, rows, 3 * width), x.dtype)  # of W_h h + b_h
        outer = np.zeros((n, rows, width), x.dtype)  # of the candidate's W_in x + b_in
        carried = np.zeros((rows, width), x.dtype)
        weights = torch.from_numpy(np.concatenate((w_h, v_h), axis=1))  # (3H, 2H)
        products = torch.empty((rows, 2 * width), dtype=weights.dtype)
        products_of, steps = products.numpy(), torch.from_numpy(inner).unbind()
        for k in range(n - 1, -1, -1):
            m = active[k]
            carried += arriving[k]
            here, of = carried[:m], inner[k, :m]
            candidate = outer[k, :m]
            np.multiply(here, to_new[k, :m], out=candidate)
            np.multiply(candidate, to_reset[k, :m], out=of[:, :width])
            np.multiply(here, to_update[k, :m], out=of[:, width : 2 * width])
            np.multiply(candidate, reset[k, :m], out=of[:, 2 * width :])
            here *= update[k, :m]
            torch.mm(steps[k][:m], weights, out=products[:m])
            here[0] += products_of[0, :width]
            here[1:] += products_of[1:m, width:]
        inputs = np.concatenate((inner[..., : 2 * width], outer), axis=-1)
        one, other = inputs[:, 0], inputs[:, 1:].sum(axis=1)  # the rows of a step have one position
        flat, before = inner[:, 1:].reshape(-1, 3 * width), h[:-1, 1:].reshape(-1, width)
        found = (
            (
                _product(one.T, x),
                _product(inner[:, 0].T, h[:-1, 0]),
                one.sum(0),
                inner[:, 0].sum(0),
            ),
            (_product(other.T, x[::-1]), _product(flat.T, before), other.sum(0), flat.sum(0)),
        )
        return None, None, *(torch.from_numpy(gradient) for side in found for gradient in side)


def _product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    sides = (torch.from_numpy(np.array(side, order="C")) for side in (one, other))
    return torch.mm(*sides).numpy()
