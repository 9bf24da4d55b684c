"""Released files, the key map, and everything that may be wrong with a checkpoint."""

import os

import pytest
import torch

from lib.checkpoint import FORMAT, holds_checkpoint, load_checkpoint, load_weights, save_checkpoint
from lib.errors import InputError
from tests.support import fail, small_model


def test_own_format_round_trip(tmp_path):
    model, checkpoint = small_model()
    save_checkpoint(tmp_path / "c.pth", checkpoint)
    again = load_checkpoint(tmp_path / "c.pth")
    assert again.config == checkpoint.config
    assert again.progress == {"epoch": 1}
    assert all(torch.equal(v, again.model[k]) for k, v in model.state_dict().items())
    assert [p.name for p in tmp_path.iterdir()] == ["c.pth"]


@pytest.mark.parametrize("sizes", [{"embed_size": 24}, {"segmentation": False}, {"img_dim": 9}])
def test_another_architecture_is_refused_and_nothing_loaded(tmp_path, sizes):
    model, _ = small_model()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    _, other = small_model(**sizes)
    with pytest.raises(InputError, match="does not fit the model"):
        load_weights(model, other, "other.pth")
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("share", [0.5, 0.999, 0.0])
def test_a_checkpoint_cut_short(tmp_path, share):
    path = tmp_path / "c.pth"
    save_checkpoint(path, small_model()[1])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=r"c\.pth: cannot be read as a checkpoint"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "content",
    [
        {"model": [{}, {}]},
        {"model": [[1], [2]]},
        {"model": [{"module.fc.weight": torch.ones(3)}, {}]},
        {"format": FORMAT},
        {"format": FORMAT, "version": 2, "model": {}},
    ],
)
def test_damaged_contents_are_explained(tmp_path, content):
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(InputError, match=r"c\.pth: "):
        load_checkpoint(tmp_path / "c.pth")


def test_checkpoints_of_the_first_version_say_to_train_anew(tmp_path):
    torch.save({"format": "3SHNet", "version": 1, "model": {}}, tmp_path / "c.pth")
    with pytest.raises(InputError, match=r"format '3SHNet 1', expected '.* 2'\); train anew"):
        load_checkpoint(tmp_path / "c.pth")


@pytest.mark.parametrize("content", [{"state_dict": {}}, [1, 2], {"model": {}}])
def test_other_files_are_named(tmp_path, content):
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(InputError, match="neither a checkpoint of this project nor a released"):
        load_checkpoint(tmp_path / "c.pth")
    with pytest.raises(InputError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none.pth")


FULL_DISK = """
import resource, sys
from lib.checkpoint import FORMAT, load_checkpoint, save_checkpoint
from lib.errors import InputError
path = sys.argv[1]
checkpoint = load_checkpoint(path)
checkpoint.progress["epoch"] = 2
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # as a full disk: writing fails midway
try:
    save_checkpoint(path, checkpoint)
except InputError as error:
    sys.exit(f"error: {error}")
"""


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path):
    path = tmp_path / "c.pth"
    save_checkpoint(path, small_model()[1])
    before = path.read_bytes()
    # Coverage, where it is asked for, would have no room to write either.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    error = fail("python", "-c", FULL_DISK, path, env=env)
    assert "cannot be written" in error
    assert "untouched" in error
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["c.pth"]


def test_unwritable_output(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        save_checkpoint(tmp_path / "file" / "c.pth", small_model()[1])


def test_a_setting_of_another_family_cannot_move():
    _, checkpoint = small_model()
    moved = checkpoint.relocated({"bert": "elsewhere"})
    assert moved.config.model.bert == "elsewhere"
    assert checkpoint.config.model.bert != "elsewhere"
    with pytest.raises(
        InputError, match="--vocab does not apply to 3SHNet, which needs no such file"
    ):
        checkpoint.relocated({"vocab": "words.json"})


def test_what_torch_says_of_a_full_disk_is_explained(tmp_path, monkeypatch):
    def full(*_):
        raise RuntimeError("unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(InputError, match=r"is the disk full\? unexpected pos"):
        save_checkpoint(tmp_path / "c.pth", small_model()[1])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"w": 3}}, "model is not a dict of tensors"),
        ({"model": [1]}, "model is not a dict of tensors"),
        ({"tokenizer": 3}, "tokenizer is not a dict"),
        ({"training": [1]}, "training is not a dict"),
        ({"progress": {"epoch": "x"}}, r"progress\.epoch: Input should be a valid integer"),
        ({"progress": {"epoch": -1}}, r"progress\.epoch: .*greater than or equal to 0"),
        ({"progress": {"best_rsum": float("nan")}}, r"progress\.best_rsum: .*finite"),
        ({"training": {}}, "progress lacks best_epoch"),
    ],
)
def test_fields_of_other_types_are_named(tmp_path, change, message):
    path = tmp_path / "c.pth"
    save_checkpoint(path, small_model()[1])
    torch.save(torch.load(path, weights_only=True) | change, path)
    with pytest.raises(InputError, match=rf"c\.pth: is damaged: {message}"):
        load_checkpoint(path)


def test_a_checkpoint_of_ours_is_known_by_its_beginning(tmp_path):
    path = tmp_path / "c.pth"
    assert not holds_checkpoint(path)
    save_checkpoint(path, small_model()[1])
    assert holds_checkpoint(path)
    torch.save({"weights": torch.zeros(3)}, path)
    assert not holds_checkpoint(path)
    path.write_text("somebody's")
    assert not holds_checkpoint(path)


def test_a_worker_that_ends_while_it_is_saved_stops_no_saving(tmp_path, monkeypatch):
    """torch's handler of SIGCHLD raises wherever the process is."""
    from lib.checkpoint import write_torch

    plain, reports = torch.save, ["DataLoader worker (pid 1) is killed by signal: Terminated. "] * 2

    def save(content, path):
        if reports:
            plain({"half": content}, path)
            raise RuntimeError(reports.pop())
        plain(content, path)

    monkeypatch.setattr(torch, "save", save)
    write_torch(tmp_path / "c.pth", {"x": torch.ones(2)})
    assert torch.equal(torch.load(tmp_path / "c.pth", weights_only=True)["x"], torch.ones(2))
