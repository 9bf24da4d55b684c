"""Run folders: what a run keeps, and whose files it never replaces."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lib.checkpoint import load_checkpoint, save_checkpoint
from lib.config import load_config
from lib.errors import InputError
from lib.evaluation.protocols import evaluate
from lib.evaluation.records import Origin, single_record, write_record
from lib.training.loop import Run
from lib.training.run_dir import RESULTS
from tests.support import ROOT, TRAIN, fail, fit, noisy_scores, same, write_embeddings, write_scores


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


def test_a_folder_of_something_else_is_never_taken(config):
    settings = config()
    folder = Path(settings.run.out)
    (folder / "tensorboard").mkdir(parents=True)
    for name in ("model_best.pth", "results.json", "train.log", "tensorboard/mine"):
        (folder / name).write_text("somebody's")
    for resume, overwrite in ((False, False), (True, False), (False, True)):
        with pytest.raises(InputError, match=r"holds files and no run of train\.py"):
            Run(settings, resume, overwrite)
    assert {p.read_text() for p in folder.rglob("*") if p.is_file()} == {"somebody's"}


def test_an_empty_folder_is_taken_and_an_empty_name_is_not(config):
    settings = config("train.epochs=1")
    Path(settings.run.out).mkdir()
    assert fit(settings).run_dir.last.exists()
    with pytest.raises(InputError, match=r"run\.out"):
        config("run.out=")


def test_a_run_that_was_stopped_early_starts_again(config):
    whole = fit(config())
    last, best = (load_checkpoint(path) for path in (whole.run_dir.last, whole.run_dir.best))
    whole.run_dir.last.unlink()
    whole.run_dir.best.unlink()
    with pytest.raises(InputError, match="was stopped before its first checkpoint"):
        Run(config(), False, False)
    same(load_checkpoint(fit(config(), resume=True).run_dir.last), last)
    # Stopped between the best model and the checkpoint of the same epoch.
    first = fit(config("train.epochs=1"), overwrite=True)
    first.run_dir.last.unlink()
    with pytest.raises(InputError, match=r"1 of 1 epochs done"):
        Run(config(), False, False)
    resumed = fit(config(), resume=True)
    same(load_checkpoint(resumed.run_dir.last), last)
    same(load_checkpoint(resumed.run_dir.best), best)


def test_one_run_at_a_time(config):
    """Another process holds the folder; it is named."""
    settings = config()
    held = """
import sys, time
from pathlib import Path
from lib.outputs import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(100)
"""
    words = [sys.executable, "-c", held, settings.run.out]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=rf"is in use by process {other.pid} on "):
            fit(settings)
        other.kill()
    fit(settings)
    assert not list(Path(settings.run.out).glob(".*"))


def test_a_run_that_began_meanwhile_is_noticed(config):
    late = Run(config(), False, False)
    fit(config())
    with pytest.raises(InputError, match="another training has written to it just now"):
        late.fit(["test"])


def test_overwriting_removes_a_run_and_nothing_else(config):
    first = fit(config())
    folder, before = first.run_dir.path, load_checkpoint(first.run_dir.last)
    results = evaluate(noisy_scores(0), "f30k", "test")
    mine = Origin(str(first.run_dir.best))
    write_record(folder / "results.json", single_record(mine, "f30k", "test", results))
    write_scores(folder / "results.safetensors", checkpoint=str(first.run_dir.best))
    write_embeddings(folder / "embeddings.safetensors", np.zeros((1, 2), np.float32),
                     np.zeros((5, 2), np.float32), ["1"])  # fmt: skip
    embeddings = (folder / "embeddings.safetensors").read_bytes()
    for name in ("notes.txt", "tensorboard/mine"):
        (folder / name).write_text("somebody's")
    fit(config(), overwrite=True)
    assert not any((folder / name).exists() for name in RESULTS[:2])
    for name in ("notes.txt", "tensorboard/mine"):
        assert (folder / name).read_text() == "somebody's"
    assert (folder / "embeddings.safetensors").read_bytes() == embeddings  # of another's weights
    assert len(list((folder / "tensorboard").glob("events*"))) == 1
    same(before, load_checkpoint(folder / "checkpoint.pth"))
    assert (folder / "train.log").read_text().count("started") == 1


def test_a_damaged_record_of_sessions_does_not_stop_a_run(config):
    run = fit(config("train.epochs=1"))
    for epochs, text in enumerate(("{", "[1]", "[" * 100_000), 2):
        run.run_dir.environment.write_text(text)
        again = fit(config(f"train.epochs={epochs}"), resume=True)
        assert again.progress["epoch"] == epochs
        (session,) = json.loads(run.run_dir.environment.read_text())
        assert session["torch"]


def test_a_damaged_step_is_refused(config):
    run = fit(config("train.epochs=1"))
    checkpoint = load_checkpoint(run.run_dir.last)
    checkpoint.progress["step"] = 999
    save_checkpoint(run.run_dir.last, checkpoint)
    with pytest.raises(InputError, match="is damaged: an epoch has no step 999"):
        Run(config(), resume=True, overwrite=False)


def test_a_folder_that_cannot_be_listed(config, monkeypatch):
    settings = config()
    Path(settings.run.out).mkdir()

    def refused(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(Path()), "iterdir", refused)
    with pytest.raises(InputError, match="run: cannot be listed"):
        Run(settings, False, False)
