"""The processes that share a run or an evaluation, one per GPU, as torchrun starts them.

A process alone is all of them: then nothing here communicates. Every function but ``count`` and
``rank`` has to be called by all processes, in the same order.
"""

import gc
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from lib.device import resolve_device
from lib.errors import InputError

LOST = r"(?i)connection|by peer|broken pipe|remote process|time.?out"  # as gloo and NCCL say


@contextmanager
def joined(device: str) -> Iterator[None]:
    """A block in which this process works with the others that torchrun has started, if any.

    A model that DistributedDataParallel holds has to be gone at its end.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``: NCCL and a GPU per process, or gloo.

    Raises:
        InputError: fewer GPUs than processes, or another process has ended.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield
        return
    if "LOCAL_RANK" not in os.environ:
        raise InputError(
            "WORLD_SIZE says that there are several processes, but nothing says which one this is; "
            "start them with torchrun, or unset WORLD_SIZE"
        )
    cuda = resolve_device(device).type == "cuda"
    if cuda:
        place, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if place >= gpus:
            raise InputError(f"process {place + 1} of this machine finds {gpus} GPUs; start fewer")
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield
    except RuntimeError as error:
        if not re.search(LOST, str(error)):
            raise
        raise InputError(
            f"process {rank()} of {count()} has lost another one, and cannot go on; the "
            "message of the first that ended says why. A training's last checkpoint is whole: "
            "go on with --resume"
        ) from error
    # The group waits for its threads to end, and these may wait for the interpreter's lock: it lets
    # go of that where the last reference is its own, not one of a DistributedDataParallel.
    gc.collect()
    dist.destroy_process_group()


def count() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_count() -> int:
    """How many of them share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", count())) if count() > 1 else 1


def rank() -> int:
    """This one's number, from 0; the first alone prints and writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def largest(value: int) -> int:
    """The largest of all processes' values; also waits until all have come here."""
    if count() == 1:
        return value
    tensor = torch.tensor(value, device=_device())
    dist.all_reduce(tensor, dist.ReduceOp.MAX)
    return int(tensor)


def average(tensor: Tensor) -> Tensor:
    """The mean of all processes' tensors; carries no gradient."""
    if count() > 1:
        tensor = tensor.clone()
        dist.all_reduce(tensor)
        tensor /= count()
    return tensor


def total(tensor: Tensor) -> Tensor:
    """The sum of all processes' tensors; carries gradients to all of them."""
    return tensor if count() == 1 else _Total.apply(tensor)


def gathered(tensor: Tensor) -> Tensor:
    """(B, ...) of each process -> (count B, ...), in their order; carries gradients.

    The gradient suits processes that all compute the same loss from what is gathered, and average
    the gradients of their weights, as DistributedDataParallel does.
    """
    return tensor if count() == 1 else _Gathered.apply(tensor)


def handed_round(tensor: Tensor) -> Tensor:
    """As :func:`gathered`, for processes that each compute a part of what follows, and then gather
    that: the gradient is the sum of what each of them has for it."""
    return tensor if count() == 1 else _HandedRound.apply(tensor)


def listed(value: Any) -> list[Any]:
    """Every process's value, in their order."""
    if count() == 1:
        return [value]
    values: list[Any] = [None] * count()
    dist.all_gather_object(values, value)
    return values


def interleaved(parts: list[list[Any]]) -> list[Any]:
    """Lists that hold every so many-th thing, as ``things[rank() :: count()]``, as one again."""
    things: list[Any] = [None] * sum(map(len, parts))
    for first, part in enumerate(parts):
        things[first :: len(parts)] = part
    return things


def share_first(tensors: Iterable[Tensor]) -> None:
    """Copy the first process's values into the others' tensors."""
    if count() > 1:
        for tensor in tensors:
            dist.broadcast(tensor.detach(), 0)


def _device() -> str:
    return "cuda" if dist.get_backend() == "nccl" else "cpu"


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        dist.all_reduce(tensor)
        return tensor

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return _Total.forward(None, gradient)


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        context.size = len(tensor)
        parts = [torch.empty_like(tensor) for _ in range(count())]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        # All processes have the same gradient: nothing needs to be sent. Their weights' gradients
        # will be averaged where they should be added.
        start = rank() * context.size
        return gradient[start : start + context.size] * count()


class _HandedRound(_Gathered):
    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        start, size = rank() * context.size, context.size
        return _Total.forward(None, gradient.float())[start : start + size].to(gradient.dtype)
