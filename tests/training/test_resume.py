"""Data that has changed since a checkpoint was written."""

import shutil

import pytest

from lib.checkpoint import load_checkpoint, save_checkpoint
from lib.errors import InputError
from lib.training.loop import Run
from tests.support import fit


@pytest.mark.parametrize("name", ["train_caps.txt", "dev_ids.txt"])
def test_a_run_does_not_go_on_with_other_data(config, world, tmp_path, name):
    data = shutil.copytree(world / "scenes_precomp", tmp_path / "scenes_precomp")
    fit(config("train.epochs=1", f"data.root={tmp_path}"))
    lines = (data / name).read_text().splitlines()
    (data / name).write_text("\n".join(reversed(lines)) + "\n")
    with pytest.raises(
        InputError, match=r"other data in .*; changed since: (captions of train|ids of dev)"
    ):
        Run(config("train.epochs=2", f"data.root={tmp_path}"), True, False)


def test_a_checkpoint_of_an_earlier_version_is_evaluated_and_not_resumed(config):
    run = fit(config("train.epochs=1"))
    for path in (run.run_dir.last, run.run_dir.best):
        checkpoint = load_checkpoint(path)
        checkpoint.progress["splits"] = {"train": "0" * 64, "dev": "1" * 64}
        save_checkpoint(path, checkpoint)
    assert load_checkpoint(run.run_dir.best).progress["epoch"] == 1
    with pytest.raises(InputError, match=r"earlier version.* can be evaluated, but not resumed"):
        Run(config("train.epochs=2"), resume=True, overwrite=False)
