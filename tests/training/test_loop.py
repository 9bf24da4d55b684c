"""Runs: what they keep, how they stop, and that going on equals never having stopped."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import BertModel

from lib.checkpoint import load_checkpoint, save_checkpoint
from lib.config import load_config
from lib.data.dataset import TrainingPairs, training_loader
from lib.errors import InputError
from lib.training.loop import Run
from lib.training.optim import build_optimizer, rate_factor
from lib.training.run_dir import RESULTS
from tests.support import ROOT, TRAIN, cut_split, fail, fit, same, succeed


@pytest.fixture(scope="module")
def trained(settings, tmp_path_factory):
    """A finished run by the command line: two epochs."""
    out = tmp_path_factory.mktemp("trained") / "run"
    printed = succeed(*TRAIN, *settings, f"run.out={out}")
    return out, printed


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
        "loss", "gradient_norm", "score/positive", "score/hardest_negative", "time/data",
        "time/step", "rate/text_head", "rate/bert", "rate/image", "dev/rSum",
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


def test_a_machine_without_git_trains(config, monkeypatch):
    monkeypatch.setenv("PATH", "")
    run = fit(config("train.epochs=1"))
    (session,) = json.loads((run.run_dir.path / "environment.json").read_text())
    assert session["commit"] is None


def test_a_half_precision_bert_trains_in_float32(config, world, tmp_path):
    shutil.copytree(world / "scenes_precomp" / "bert", tmp_path / "bert")
    BertModel.from_pretrained(tmp_path / "bert").half().save_pretrained(tmp_path / "bert")
    run = fit(config(f"model.bert={tmp_path / 'bert'}", "train.epochs=1"))
    assert {p.dtype for p in run.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("damage", ["cut", "foreign"])
def test_damaged_bert_weights_are_refused(config, world, tmp_path, damage):
    shutil.copytree(world / "scenes_precomp" / "bert", tmp_path / "bert")
    path = tmp_path / "bert" / "model.safetensors"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    else:
        save_file({"other.weight": torch.zeros(3)}, path, metadata={"format": "pt"})
    with pytest.raises(InputError, match="this folder cannot be loaded"):
        Run(config(f"model.bert={tmp_path / 'bert'}"), False, False)


@pytest.mark.parametrize("name", ["train_caps.txt", "dev_ids.txt"])
def test_a_run_does_not_go_on_with_other_data(config, world, tmp_path, name):
    data = shutil.copytree(world / "scenes_precomp", tmp_path / "scenes_precomp")
    fit(config("train.epochs=1", f"data.root={tmp_path}"))
    lines = (data / name).read_text().splitlines()
    (data / name).write_text("\n".join(reversed(lines)) + "\n")
    with pytest.raises(InputError, match=r"was trained on other images or captions; the files of"):
        Run(config("train.epochs=2", f"data.root={tmp_path}"), True, False)


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


class PoisonedRun(Run):
    """Breaks a weight in the second epoch."""

    def _step(self, images, texts):
        if self.progress["updates"] == 9:
            with torch.no_grad():
                self.model.image_encoder.projection.weight[0, 0] = torch.nan
        return super()._step(images, texts)


def test_a_broken_loss_stops_with_the_ids_and_keeps_the_checkpoint(config):
    run = PoisonedRun(config(), False, False)
    with pytest.raises(InputError, match=r"loss is nan in epoch 1, step 2") as error:
        run.fit(["test"])
    assert f"last good checkpoint is {run.run_dir.last}" in str(error.value)
    ids = str(error.value).rsplit("Images of the batch: ", 1)[1].split(", ")
    assert len(ids) == 16
    assert set(ids) <= set(run.train_split.image_ids)
    saved = load_checkpoint(run.run_dir.last)
    assert saved.progress["epoch"] == 1
    assert all(torch.isfinite(v).all() for v in saved.model.values())


def test_nan_features_stop_a_run_with_one_sentence(world, settings, tmp_path):
    shutil.copytree(world / "scenes_precomp", tmp_path / "scenes_precomp")
    rows = np.load(tmp_path / "scenes_precomp" / "train_ims.npy")
    rows[5] = np.nan
    np.save(tmp_path / "scenes_precomp" / "train_ims.npy", rows)
    out = tmp_path / "run"
    error = fail(*TRAIN, *settings, f"data.root={tmp_path}", "data.workers=1", f"run.out={out}")
    assert "train_ims.npy: entry 5 holds NaN" in error


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.batch_size=121"], "has 120 captions; choose a smaller batch"),
        (["data.root=nowhere"], "nowhere/scenes_precomp nor"),
        (["model.img_dim=64"], r"expected \(any, 64\)"),
        (["model.categories=80"], r"expected \(80, 7, 7\)"),
        (["model.map_size=64"], r"expected \(64, 64\)"),
        (["model.bert=no/bert"], "pass a local folder"),
        (["run.out=/dev/null/run"], "cannot be written"),
        (["run.device=cuda"], "no CUDA GPU"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(config, overrides, message):
    if overrides == ["run.device=cuda"] and torch.cuda.is_available():
        pytest.skip("has a GPU")
    settings = config(*overrides)
    with pytest.raises(InputError, match=message):
        Run(settings, resume=False, overwrite=False)
    assert not Path(settings.run.out).exists()


def test_one_image_trains_and_an_empty_split_is_refused(world, config, tmp_path):
    one = cut_split(world, tmp_path / "one", "train", 1)
    run = fit(config(f"data.root={one}", "train.batch_size=4", "train.epochs=1"))
    assert run.progress["updates"] == 1
    none = cut_split(world, tmp_path / "none", "dev", 0)
    with pytest.raises(InputError, match="holds 0 captions"):
        Run(config(f"data.root={none}"), resume=False, overwrite=True)


@pytest.mark.parametrize(
    "switch", ["model.vsem=false", "model.vspm=false", "model.segmentation=false",
               "train.mask_same_image=true"],
)  # fmt: skip
def test_switches_train(config, switch):
    run = fit(config(switch, "train.epochs=1"))
    names = set(dict(run.model.image_encoder.named_modules()))
    assert ("semantic" in names) == (switch not in ("model.vsem=false", "model.segmentation=false"))
    assert ("spatial" in names) == (switch not in ("model.vspm=false", "model.segmentation=false"))


def test_masking_changes_the_loss(config):
    plain, masked = config(), config("train.mask_same_image=true")
    losses = []
    for settings in (plain, masked):
        run = Run(settings, resume=False, overwrite=True)
        pairs = TrainingPairs(run.train_split, run.train_captions, settings)
        batch = np.arange(10)[None]  # all captions of two images
        images, texts = next(iter(training_loader(pairs, 0, batch, 0, pin=False)))
        losses.append(run._step(images, texts)[0])
    assert losses[1] < losses[0]


def test_three_groups_and_the_schedule(config):
    settings = config("train.lr=1e-3", "model.bert_lr_scale=0.1", "train.decay_epoch=15")
    run = Run(settings, resume=False, overwrite=False)
    groups = build_optimizer(run.model, settings.train).param_groups
    assert [(g["name"], g["lr"], g["weight_decay"]) for g in groups] == [
        ("text_head", 1e-3, 1e-4), ("bert", 1e-4, 1e-4), ("image", 1e-3, 1e-4)
    ]  # fmt: skip
    grouped = [id(p) for g in groups for p in g["params"]]
    assert len(grouped) == len(set(grouped)) == len(list(run.model.parameters()))
    factors = [rate_factor(epoch, 0.5, settings.train) for epoch in (0, 14, 15, 24)]
    assert factors == [1, 1, 0.1, 0.1]


def test_precision_is_of_products_alone(config):
    losses = {}
    for precision in ("fp32", "tf32", "bf16"):
        run = Run(config(f"train.precision={precision}"), False, False)
        pairs = TrainingPairs(run.train_split, run.train_captions, run.config)
        batch = next(iter(training_loader(pairs, 0, np.arange(16)[None], 0, pin=False)))
        losses[precision], _ = run._step(*batch)
        state = run.optimizer.state_dict()["state"].values()
        kept = [*run.model.state_dict().values(), *(v for s in state for v in s.values())]
        assert {t.dtype for t in kept if t.is_floating_point()} == {torch.float32}
        assert all(p.grad is None or p.grad.dtype == torch.float32 for p in run.model.parameters())
    assert losses["tf32"] == losses["fp32"]  # no CPU has it
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)
    assert not torch.backends.cuda.matmul.allow_tf32


def test_initial_projection_is_xavier_uniform(config):
    layer = Run(config(), False, False).model.image_encoder.projection
    bound = (6 / (32 + 32)) ** 0.5
    assert layer.weight.abs().max() <= bound
    assert layer.weight.abs().max() > 0.95 * bound
    assert layer.bias.abs().max() == 0
