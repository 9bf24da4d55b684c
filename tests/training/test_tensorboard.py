"""The curves of a run, beside what was computed."""

import threading
from pathlib import Path

import pytest

from lib.checkpoint import load_checkpoint
from lib.training.loop import Run
from tests.support import fit


def test_tensorboard_has_every_curve(config, monkeypatch):
    losses, recalls = [], []

    def step(run, images, texts):
        loss, scalars = plain_step(run, images, texts)
        losses.append(loss / len(images.indices))
        return loss, scalars

    def validate(run):
        found = plain_validate(run)
        recalls.append([r for side in (found.i2t, found.t2i) for r in (side.r1, side.r5, side.r10)])
        return found

    plain_step, plain_validate = Run._step, Run._validate
    monkeypatch.setattr(Run, "_step", step)
    monkeypatch.setattr(Run, "_validate", validate)
    run = fit(config("train.epochs=2", "train.batch_size=8"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.run_dir.tensorboard))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {
        "loss", "gradient_norm", "score/positive", "score/hardest_negative", "score/gap",
        "time/data", "time/step", "rate/text_head", "rate/bert", "rate/image", "dev/rSum",
        *(f"dev/{side}_R@{k}" for side in ("i2t", "t2i") for k in (1, 5, 10)),
    }  # fmt: skip
    curves = {name: events.Scalars(name) for name in events.Tags()["scalars"]}
    sums = [point.value for point in curves["dev/rSum"]]
    assert sums == pytest.approx([sum(six) for six in recalls], rel=1e-6)
    sides = [f"dev/{side}_R@{k}" for side in ("i2t", "t2i") for k in (1, 5, 10)]
    assert [curves[name][1].value for name in sides] == pytest.approx(recalls[1], rel=1e-6)
    assert [point.step for point in curves["loss"]] == [10, 20, 30]
    shown = [point.value for point in curves["loss"]]
    assert shown == pytest.approx(losses[9::10], rel=1e-6)


def test_resuming_keeps_the_curves(config):
    fit(config("train.epochs=1"))
    run = fit(config("train.epochs=3"), resume=True)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.run_dir.tensorboard))
    events.Reload()
    assert [point.step for point in events.Scalars("dev/rSum")] == [7, 14, 21]


def test_a_folder_that_cannot_be_written_does_not_end_training(config):
    settings = config()
    Path(settings.run.out).mkdir()
    run = Run(settings, False, False)
    run.run_dir.tensorboard.write_text("in the way")
    run.fit(["test"])
    assert load_checkpoint(run.run_dir.last).progress["epoch"] == 2
    log = (run.run_dir.path / "train.log").read_text()
    assert log.count("curves cannot be written") == 1


def test_a_full_disk_ends_the_curves_with_one_warning(config, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    run = Run(config(), False, False)
    monkeypatch.setattr("tensorboard.summary.writer.record_writer.RecordWriter.write", full)
    before = threading.excepthook
    run.fit(["test"])
    assert load_checkpoint(run.run_dir.last).progress["epoch"] == 2
    assert (run.run_dir.path / "train.log").read_text().count("curves cannot be written") == 1
    assert "Traceback" not in capsys.readouterr().err
    assert threading.excepthook is before
