"""Devices, precisions, and how many processes load."""

import os

import pytest
import torch

from lib.device import (
    default_workers,
    encoding_batch,
    local_device,
    precision_context,
    resolve_device,
)
from lib.errors import InputError

CPU = torch.device("cpu")


def test_cores_are_shared_between_processes(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    assert [default_workers(processes=n) for n in (1, 2, 3, 6, 12)] == [4, 3, 2, 1, 1]
    assert default_workers(most=2) == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert default_workers() == 1


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == CPU
    with pytest.raises(InputError, match="no CUDA GPU; cpu does without one"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto").type == resolve_device("cuda").type == "cuda"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [local_device("auto", rank).index for rank in (0, 1, 2)] == [0, 1, 0]
    assert local_device("cpu", 1) == CPU
    assert encoding_batch(CPU) < encoding_batch(resolve_device("auto"))


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_a_precision_ends_with_its_block(precision):
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    rows = torch.ones(2, 2)
    with pytest.raises(ZeroDivisionError), precision_context(CPU, precision):
        assert (matmul.allow_tf32, cudnn.allow_tf32) == (precision == "tf32",) * 2
        assert (rows @ rows).dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
        raise ZeroDivisionError
    assert (matmul.allow_tf32, cudnn.allow_tf32) == before
    assert (rows @ rows).dtype == torch.float32
