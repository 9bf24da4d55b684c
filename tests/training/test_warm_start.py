"""train.init: weights of another run, what does not fit, and what is refused."""

import shutil

import pytest
import torch

from lib.checkpoint import load_checkpoint, save_checkpoint
from lib.errors import InputError
from lib.training.loop import Run
from tests.support import fit, released_checkpoint


@pytest.fixture
def trained(config, tmp_path):
    run = fit(config(f"run.out={tmp_path / 'first'}", "train.epochs=1"))
    return run, str(run.run_dir.best)


def test_it_starts_from_the_weights_and_nothing_else(config, trained):
    _, path = trained
    run = Run(config(f"train.init={path}", "run.seed=5"), False, False)
    for name, tensor in load_checkpoint(path).model.items():
        assert torch.equal(run.model.state_dict()[name], tensor), name
    assert run.progress["epoch"] == run.progress["updates"] == 0
    assert run.optimizer.state_dict()["state"] == {}
    run.fit(["test"])
    log = run.run_dir.log.read_text()
    assert f"starts from the weights of {path}, trained on scenes" in log
    assert "of another size" not in log
    assert load_checkpoint(run.run_dir.last).config.train.init == path


def test_parts_of_another_size_are_named(config, trained):
    _, path = trained
    settings = config(f"train.init={path}", "model.map_size=16", "train.epochs=1")
    checkpoint = load_checkpoint(path)
    name = "image_encoder.projection.weight"
    checkpoint.model[name] = torch.zeros(32, 48)
    save_checkpoint(path, checkpoint)
    run = fit(settings)
    log = run.run_dir.log.read_text()
    assert f"1 parts of {path} are of another size and start anew: {name} (32, 48) inst" in log


def test_without_pretrained_files_where_everything_fits(config, trained, world, tmp_path):
    """A checkpoint brings its text network's weights; config and vocabulary are enough."""
    _, path = trained
    bare = tmp_path / "bare"
    shutil.copytree(world / "scenes_precomp" / "bert", bare)
    (bare / "model.safetensors").unlink()
    Run(config(f"train.init={path}", f"model.bert={bare}"), False, False)
    checkpoint = load_checkpoint(path)
    checkpoint.model["image_encoder.projection.weight"] = torch.zeros(32, 48)
    save_checkpoint(path, checkpoint)
    with pytest.raises(InputError, match="this folder cannot be loaded"):
        Run(config(f"train.init={path}", f"model.bert={bare}"), False, False)


def test_what_is_refused(config, trained, tmp_path):
    _, path = trained
    with pytest.raises(InputError, match=r"of another model .* it has besides image_encoder\.sp"):
        Run(config(f"train.init={path}", "model.vspm=false"), False, False)
    with pytest.raises(InputError, match="no such checkpoint"):
        Run(config(f"train.init={tmp_path / 'none.pth'}"), False, False)
    checkpoint = load_checkpoint(path)
    checkpoint.tokenizer["vocabulary"] = "0" * 64
    save_checkpoint(path, checkpoint)
    with pytest.raises(InputError, match="its vocabulary differ"):
        Run(config(f"train.init={path}"), False, False)
    raw = torch.load(path, weights_only=True)
    raw["config"]["model"] = {"family": "lhsc", "regions": 24}
    torch.save(raw, tmp_path / "lhsc.pth")
    with pytest.raises(InputError, match=r"lhsc\.pth: is of LHSC, and cannot be the tra"):
        Run(config(f"train.init={tmp_path / 'lhsc.pth'}"), False, False)
    torch.save(released_checkpoint(), tmp_path / "released.pth")
    with pytest.raises(InputError, match="of another model than this run's"):
        Run(config(f"train.init={tmp_path / 'released.pth'}"), False, False)


def test_a_resumed_run_does_not_read_it_again(config, trained, tmp_path):
    _, path = trained
    words = (f"train.init={path}", f"run.out={tmp_path / 'second'}")
    fit(config(*words, "train.epochs=1"))
    shutil.rmtree(tmp_path / "first")
    run = fit(config(*words), resume=True)
    assert run.progress["epoch"] == 2
