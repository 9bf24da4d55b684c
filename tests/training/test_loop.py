"""Runs: what they keep, how they stop, and that going on equals never having stopped."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from lib.checkpoint import load_checkpoint
from lib.data.dataset import TrainingPairs, training_loader
from lib.errors import InputError
from lib.training.loop import Run
from tests.support import TRAIN, cut_split, fail, fit


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


def test_a_batch_that_ranks_cannot_share_is_refused(config, monkeypatch):
    monkeypatch.setattr("lib.training.loop.world_size", lambda: 3)
    with pytest.raises(InputError, match="which 3 processes cannot share equally"):
        Run(config("train.batch_size=16"), False, False)


def test_a_bert_that_reads_text_otherwise_is_told_in_the_log(config, world, tmp_path):
    bert = shutil.copytree(world / "scenes_precomp" / "bert", tmp_path / "bert")
    (bert / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    run = fit(config(f"model.bert={bert}", "train.epochs=1"))
    assert (
        "with lowercase=False, as bert-base-uncased does not"
        in (run.run_dir.path / "train.log").read_text()
    )
