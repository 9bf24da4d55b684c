"""The processes of one run or evaluation, one per GPU, as torchrun starts them.

With one process these are no-ops. All ranks must call every collective in the same order."""

import gc
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as differentiable
from torch import Tensor

from lib.device import resolve_device
from lib.errors import InputError

LOST = r"(?i)connection|by peer|broken pipe|remote process|time.?out"  # as gloo and NCCL say


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """A block in which this process works with the others that torchrun has started, if any: NCCL
    and a GPU per process, or gloo on CPUs. A model that DistributedDataParallel holds must be gone
    at its end. Raises InputError: fewer GPUs than processes, or another process has ended."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield
        return
    if "LOCAL_RANK" not in os.environ:
        raise InputError(
            "WORLD_SIZE is set but LOCAL_RANK is not; start the processes with torchrun, or unset "
            "WORLD_SIZE"
        )
    cuda = resolve_device(device).type == "cuda"
    if cuda:
        local_rank, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local_rank >= gpus:
            raise InputError(
                f"process {local_rank + 1} of this machine finds {gpus} GPUs; start fewer"
            )
        torch.cuda.set_device(local_rank)
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield
    except RuntimeError as error:
        if not re.search(LOST, str(error)):
            raise
        raise InputError(
            f"process {rank()} of {world_size()} has lost contact with another one; the message of "
            "the first that ended says why. The last checkpoint of a training is complete: resume "
            "the run with --resume"
        ) from error
    # The group waits for its threads to end, and these may wait for the interpreter's lock. It is
    # released only where the group itself drops the last reference, not DistributedDataParallel.
    gc.collect()
    dist.destroy_process_group()


def world_size() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_world_size() -> int:
    """The number of processes on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", world_size())) if world_size() > 1 else 1


def rank() -> int:
    """This process's number, from 0; rank 0 alone prints and writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def all_reduce_max(value: int) -> int:
    """The largest value of any rank; also a barrier."""
    if world_size() == 1:
        return value
    tensor = torch.tensor(value, device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(tensor, dist.ReduceOp.MAX)
    return int(tensor)


def all_reduce_mean(tensor: Tensor) -> Tensor:
    """The mean over ranks; carries no gradient."""
    if world_size() > 1:
        tensor = tensor.clone()
        dist.all_reduce(tensor)
        tensor /= world_size()
    return tensor


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """The sum over ranks; its backward sums gradients over ranks."""
    return tensor if world_size() == 1 else differentiable.all_reduce(tensor)


def all_gather(tensor: Tensor) -> Tensor:
    """(B, ...) of each rank -> (world_size B, ...); its backward sums gradients over ranks."""
    return tensor if world_size() == 1 else torch.cat(differentiable.all_gather(tensor))


def all_gather_object(value: Any) -> list[Any]:
    """Every rank's value, by rank."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def interleave(parts: list[list[Any]]) -> list[Any]:
    """Undo ``things[rank() :: world_size()]``: every rank's list -> the whole list."""
    things: list[Any] = [None] * sum(map(len, parts))
    for first, part in enumerate(parts):
        things[first :: len(parts)] = part
    return things


def broadcast(tensors: Iterable[Tensor]) -> None:
    """Copy rank 0's values into the other ranks' tensors."""
    if world_size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor.detach(), 0)
