"""A process's share of work that needs no messages between processes.

torchrun and Slurm's ``srun`` tell each process its rank and their number. Work that is cut in
pieces, such as shards of pictures, is shared by them alone: a process that dies holds up nobody,
and the same command, started again with any number of processes, does what is left."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lib.errors import InputError

# What tells rank, world size, rank on this machine, and processes on this machine. Slurm's are of a
# job step: a batch script, which is one process, has the number of tasks of its job as well.
TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
SLURM = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE")
LEAST_SHARDS = 16  # of work that has so many batches: a few processes then get equal shares


@dataclass(frozen=True)
class Share:
    """Which of the processes this one is; by default it is alone."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0  # among those on this machine
    local_world_size: int = 1

    def of(self, pieces: Sequence[Any]) -> Sequence[Any]:
        """This process's pieces: every ``world_size``-th one."""
        return pieces[self.rank :: self.world_size]

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.world_size == 1

    @property
    def mark(self) -> str:
        """For names of files, as in "-1-of-4"; empty for a process alone."""
        return "" if self.alone else f"-{self.rank}-of-{self.world_size}"

    def told(self, text: str) -> str:
        """``text`` behind who says it, as in "process 2 of 4: ...", unless it is alone."""
        return text if self.alone else f"process {self.rank + 1} of {self.world_size}: {text}"


ALONE = Share()


def share_of_environment() -> Share:
    """This process's share, by torchrun's or else Slurm's variables. Raises InputError: one of them
    is missing or makes no sense."""
    for names in (TORCHRUN, SLURM):
        rank, size, local, there = (os.environ.get(name) for name in names)
        if size is None or (names is SLURM and rank is None):
            continue
        found = {names[0]: rank, names[1]: size, names[2]: local or "0"}
        for name, value in found.items():
            if value is None or not value.isdecimal():
                told = "" if name == names[1] else f"{names[1]} is {size} and "
                raise InputError(
                    f"{told}{name} is {value or 'not set'}, expected the variables that torchrun "
                    f"or srun sets; unset {names[1]} to work alone"
                )
        rank_, size_, local_ = map(int, found.values())  # type: ignore[arg-type]
        if rank_ >= max(size_, 1):
            raise InputError(f"{names[0]} is {rank_}, expected a number below {names[1]}, {size_}")
        # Slurm counts by machine, as in "4(x2),3".
        per_machine = re.match(r"\d+", there or "")
        return Share(rank_, max(size_, 1), local_, int(per_machine[0]) if per_machine else 1)
    return ALONE


def shards_of(count: int, batch_size: int, most: int) -> list[range]:
    """``count`` things in shards of consecutive ones: whole batches, at most ``most`` things unless
    a batch has more. They follow from these numbers alone: shards that some processes made are good
    for any other number of them."""
    batches = -(-count // batch_size)
    size = batch_size * max(1, min(most // batch_size, batches // LEAST_SHARDS))
    return [range(count)[start : start + size] for start in range(0, count, size)]
