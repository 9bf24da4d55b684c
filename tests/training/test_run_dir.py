"""Run folders: what a run keeps, and whose files it never replaces."""

import json
from pathlib import Path

import pytest
import torch

from lib.checkpoint import load_checkpoint, save_checkpoint
from lib.config import load_config
from lib.errors import InputError
from lib.training.loop import Run
from lib.training.run_dir import RESULTS
from tests.support import ROOT, TRAIN, fail, fit, same


def test_a_run_keeps_what_it_is_a_function_of(trained):
    out, _ = trained
    config = load_config(out / "config.yaml")
    assert config.train.epochs == 2
    (session,) = json.loads((out / "environment.json").read_text())
    assert session["torch"] == torch.__version__
    assert "train.py" in session["command"][0]
    log = (out / "train.log").read_text()
    assert "epoch 0 (sum)" in log
    assert "epoch 1 (hardest)" in log
    assert "done: best dev rSum" in log
    assert list((out / "tensorboard").glob("events*"))
    best, last = (load_checkpoint(out / f"{n}.pth") for n in ("model_best", "checkpoint"))
    assert last.progress["epoch"] == 2
    assert best.progress["rsum"] == last.progress["best_rsum"]
    assert best.training.keys() == {"optimizer", "random"}
    assert not list(out.glob(".*"))


def test_a_machine_without_git_trains(config, monkeypatch):
    monkeypatch.setenv("PATH", "")
    run = fit(config("train.epochs=1"))
    (session,) = json.loads((run.run_dir.path / "environment.json").read_text())
    assert session["commit"] is None


def test_weights_alone_cannot_be_resumed(config, trained):
    checkpoint = load_checkpoint(trained[0] / "checkpoint.pth")
    checkpoint.training = None
    settings = config()
    save_checkpoint(Path(settings.run.out) / "checkpoint.pth", checkpoint)
    with pytest.raises(InputError, match="holds weights alone"):
        Run(settings, resume=True, overwrite=False)


def test_finished_runs_are_not_overwritten_unasked(trained, settings, capsys):
    out, _ = trained
    before = (out / "checkpoint.pth").read_bytes()
    error = fail(*TRAIN, *settings, f"run.out={out}")
    assert "holds a finished run (2 of 2 epochs done)" in error
    assert "--overwrite" in error
    fit(load_config(out / "config.yaml"), resume=True)
    assert "epochs are done" in capsys.readouterr().out
    assert (out / "checkpoint.pth").read_bytes() == before


def test_resuming_with_other_settings_is_refused(trained, settings):
    out, _ = trained
    config = load_config(ROOT / "configs/scenes_region.yaml", [*settings, f"run.out={out}"])
    for override, message in (
        ("train.lr=0.5", r"train.lr \(0.001 then, 0.5 now\)"),
        ("model.embed_size=64", r"model.embed_size \(32 then, 64 now\)"),
    ):
        other = load_config(out / "config.yaml", [override])
        with pytest.raises(InputError, match=message):
            Run(other, resume=True, overwrite=False)
    with pytest.raises(InputError, match="exclude each other"):
        Run(config, resume=True, overwrite=True)


def test_a_stray_best_model_is_not_overwritten_unasked(config):
    settings = config()
    best = Path(settings.run.out) / "model_best.pth"
    best.parent.mkdir(parents=True)
    best.write_text("somebody's")
    for resume in (False, True):
        with pytest.raises(InputError, match="--overwrite to discard it"):
            Run(settings, resume, overwrite=False)
    assert best.read_text() == "somebody's"


def test_overwriting_starts_afresh(config):
    first = fit(config())
    for name in RESULTS:  # of the weights that are discarded
        (first.run_dir.path / name).touch()
    again = fit(config(), overwrite=True)
    assert not any((again.run_dir.path / name).exists() for name in RESULTS)
    same(*(load_checkpoint(r.run_dir.last) for r in (first, again)))
    assert (again.run_dir.path / "train.log").read_text().count("started") == 1
