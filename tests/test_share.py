"""Which process of how many, as torchrun and Slurm tell, and shards that do not depend on it."""

import pytest

from lib.errors import InputError
from lib.share import ALONE, SLURM, TORCHRUN, Share, shards_of, share_of_environment


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in (*TORCHRUN, *SLURM):
        monkeypatch.delenv(name, raising=False)


def set_all(monkeypatch, names, values):
    for name, value in zip(names, values, strict=False):
        monkeypatch.setenv(name, value)


def test_alone_unless_told():
    assert share_of_environment() == ALONE
    assert ALONE.alone
    assert ALONE.mark == ""
    assert ALONE.told("done") == "done"


def test_torchrun_comes_before_slurm(monkeypatch):
    set_all(monkeypatch, SLURM, ("5", "8", "1", "4(x2)"))
    assert share_of_environment() == Share(5, 8, 1, 4)
    set_all(monkeypatch, TORCHRUN, ("2", "4", "0", "2"))
    found = share_of_environment()
    assert found == Share(2, 4, 0, 2)
    assert found.of(range(10)) == range(2, 10, 4)
    assert found.told("done") == "process 3 of 4: done"


def test_a_batch_script_of_slurm_is_one_process(monkeypatch):
    """Slurm gives it its job's number of tasks, and no step's."""
    for name, value in (("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4"), ("SLURM_LOCALID", "0")):
        monkeypatch.setenv(name, value)
    assert share_of_environment() == ALONE


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("4", "4"), "RANK is 4, expected a number below WORLD_SIZE, 4"),
        (("x", "4"), "WORLD_SIZE is 4 and RANK is x"),
        (("", "4"), "WORLD_SIZE is 4 and RANK is not set"),
        (("0", "-1"), "WORLD_SIZE is -1, expected the variables"),
    ],
)
def test_what_makes_no_sense(monkeypatch, values, message):
    set_all(monkeypatch, TORCHRUN, values)
    with pytest.raises(InputError, match=message):
        share_of_environment()


@pytest.mark.parametrize("count", [1, 5, 24, 1000, 100_000])
@pytest.mark.parametrize("batch", [1, 7, 600])
def test_shards_are_whole_batches_in_order(count, batch):
    shards = shards_of(count, batch, 256)
    assert [i for shard in shards for i in shard] == list(range(count))
    assert all(len(shard) % batch == 0 for shard in shards[:-1])
    assert max(map(len, shards)) <= max(256, batch)
    batches = -(-count // batch)
    assert len(shards) >= min(batches, 16)  # a few processes get a share each
