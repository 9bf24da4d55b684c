"""What each of two ranks finds: python -m torch.distributed.run ... -m tests.collectives FOLDER."""

import sys
from pathlib import Path

import torch

from lib import distributed as ranks

with ranks.process_group("cpu"):
    own = torch.tensor([1.0, 2.0]) + 10 * ranks.rank()
    leaf = own.clone().requires_grad_()
    gathered = ranks.all_gather(leaf)
    # A gradient that differs by rank and place: backward must sum over ranks.
    (gathered * (torch.arange(4.0) + 100 * ranks.rank())).sum().backward()
    summed = own.clone().requires_grad_()
    total = ranks.all_reduce_sum(summed)
    (total * (1 + ranks.rank())).sum().backward()
    first = own.clone()
    ranks.broadcast([first])
    found = {
        "gathered": gathered.detach(),
        "gathered gradient": leaf.grad,
        "sum": total.detach(),
        "sum gradient": summed.grad,
        "mean": ranks.all_reduce_mean(own),
        "own": own,
        "max": ranks.all_reduce_max(3 * ranks.rank()),
        "objects": ranks.all_gather_object({"rank": ranks.rank()}),
        "world": [ranks.world_size(), ranks.local_world_size()],
        "broadcast": first,
    }
    torch.save(found, Path(sys.argv[1]) / f"{ranks.rank()}.pt")
