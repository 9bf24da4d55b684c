"""The collectives between two real processes, alone, and when a process is lost."""

import pytest
import torch
import torch.distributed as dist

from lib import distributed as ranks
from lib.errors import InputError
from tests.support import TORCHRUN, succeed


def test_two_ranks(tmp_path):
    succeed(*TORCHRUN, "-m", "tests.collectives", tmp_path)
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for rank, one in enumerate(found):
        assert one["gathered"].tolist() == [1, 2, 11, 12]
        place = torch.arange(4.0).view(2, 2)[rank]
        assert one["gathered gradient"].tolist() == (place + place + 100).tolist()
        assert one["sum"].tolist() == [12, 14]
        assert one["sum gradient"].tolist() == [3, 3]
        assert one["mean"].tolist() == [6, 7]
        assert one["own"].tolist() == [1 + 10 * rank, 2 + 10 * rank]  # left as it was
        assert one["max"] == 3
        assert one["objects"] == [{"rank": 0}, {"rank": 1}]
        assert one["world"] == [2, 2]
        assert one["broadcast"].tolist() == [1, 2]


def test_one_process_is_a_world():
    value = torch.ones(2, requires_grad=True)
    with ranks.process_group("cpu"):
        assert (ranks.world_size(), ranks.local_world_size(), ranks.rank()) == (1, 1, 0)
        assert ranks.all_gather(value) is ranks.all_reduce_sum(value) is value
        assert ranks.all_reduce_mean(value) is value
        assert ranks.all_reduce_max(5) == 5
        assert ranks.all_gather_object("a") == ["a"]
        ranks.broadcast([value])
    assert not dist.is_initialized()


def test_parts_are_interleaved():
    things = list(range(7))
    assert ranks.interleave([things[rank::3] for rank in range(3)]) == things


@pytest.fixture
def two(monkeypatch):
    """The environment of a rank of two, and no group."""
    for name, value in (("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dist, "init_process_group", lambda *_: None)
    monkeypatch.setattr(dist, "destroy_process_group", lambda *_: None)
    return monkeypatch


def test_half_an_environment_is_explained(two):
    two.delenv("LOCAL_RANK")
    with pytest.raises(InputError, match="start the processes with torchrun, or unset"), \
            ranks.process_group("cpu"):  # fmt: skip
        pass


def test_a_rank_takes_the_gpu_of_its_number(two):
    chosen = []
    two.setattr(torch.cuda, "is_available", lambda: True)
    two.setattr(torch.cuda, "set_device", chosen.append)
    two.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="process 2 of this machine finds 1 GPUs; start fewer"), \
            ranks.process_group("cuda"):  # fmt: skip
        pass
    two.setattr(torch.cuda, "device_count", lambda: 2)
    with ranks.process_group("cuda"):
        pass
    assert chosen == [1]


def test_a_lost_rank_is_told_from_a_bug(two):
    with pytest.raises(InputError, match=r"has lost contact with another one.*--resume"), \
            ranks.process_group("cpu"):  # fmt: skip
        raise RuntimeError("Connection closed by peer [127.0.0.1]:1234")
    with pytest.raises(RuntimeError, match="shape"), ranks.process_group("cpu"):
        raise RuntimeError("shape '[2]' is invalid")
