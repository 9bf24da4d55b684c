"""LHSC beside what was recorded from the authors' code, and in pieces beside itself whole."""

import numpy as np
import pytest
import torch

from lib.models.lhsc.released import _written
from lib.training.losses import triplet_loss
from tests.models.lhsc import released as golden
from tests.models.lhsc.released import SIDES, STRIDE, deviation, golden_captions, golden_images
from tests.support import GOLDEN, LARGEST, ROOT, TORCHRUN, deviations, succeed

LENGTHS, TRAINING_LENGTHS = [12, 7, 3, 1], [11, 9, 8, 6, 4, 2]
RECORDED, TRAINING = (np.load(GOLDEN / f"{name}.npz") for name in ("lhsc", "lhsc_training"))


@torch.no_grad()
def test_evaluation_is_the_release_s():
    model = golden.golden_model("ignored")
    images = model.encode_images(golden_images("lhsc", 3))
    texts = model.encode_texts(golden_captions("lhsc", LENGTHS))
    found = {
        "images": (images.rows[..., ::STRIDE], RECORDED["images"]),
        "global image": (images.whole[:, ::STRIDE], RECORDED["image_global"]),
        "global caption": (texts.whole[:, ::STRIDE], RECORDED["caption_global"]),
        "scores": (model.score(images, texts), RECORDED["scores"]),
    }
    for i, length in enumerate(LENGTHS):
        found[f"caption {i}"] = texts.rows[i, :length, ::STRIDE], RECORDED[f"caption_{i}"]
    for name, pair in found.items():
        print(f"LHSC, {name}: {deviation(*pair):.1e} (allowed 2e-6)")
    assert max(deviation(*pair) for pair in found.values()) < 2e-6


@torch.no_grad()
def test_padding_is_the_release_s():
    model = golden.golden_model("released")
    images = model.encode_images(golden_images("lhsc", 3))
    texts = model.encode_texts(golden_captions("lhsc", LENGTHS))
    found = {"scores": (model.score(images, texts), TRAINING["padded_scores"])}
    for i, length in enumerate(LENGTHS):
        rows = texts.rows[i, :length, ::STRIDE]
        found[f"caption {i}"] = rows, TRAINING[f"padded_caption_{i}"]
        # The one captions' padding is felt, or nothing is tested.
        assert i == 0 or deviation(rows, RECORDED[f"caption_{i}"]) > 1e-5
    for name, pair in found.items():
        print(f"LHSC padded, {name}: {deviation(*pair):.1e} (allowed 2e-6)")
    assert max(deviation(*pair) for pair in found.values()) < 2e-6


def test_training_is_the_release_s():
    model = golden.golden_model("released").train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    images = model.encode_images(golden_images("lhsc_train", 6))
    texts = model.encode_texts(golden_captions("lhsc_train", TRAINING_LENGTHS))
    scores = model.score(images, texts)
    found = {"images": (images.rows[..., ::STRIDE], TRAINING["train_images"], 5e-6)}
    for i, length in enumerate(TRAINING_LENGTHS):
        rows = texts.rows[i, :length, ::STRIDE]
        found[f"caption {i}"] = rows, TRAINING[f"train_caption_{i}"], 5e-6
    found["scores"] = scores, TRAINING["train_scores"], 2e-6
    loss = triplet_loss(scores, 0.2, hardest=True)
    found["loss"] = loss, TRAINING["train_loss"], 1e-5
    for name, (ours, theirs, allowed) in found.items():
        print(f"LHSC training, {name}: {deviation(ours, theirs):.1e} (allowed {allowed:.0e})")
        assert deviation(ours, theirs) < allowed, name
    loss.backward()
    gradients = _written({name: p.grad for name, p in model.named_parameters()})
    norms, noise = {}, 0
    for side, state in zip(SIDES, gradients, strict=True):
        for name, gradient in state.items():
            recorded = float(TRAINING[f"train_grad_norm/{side}/{name}"])
            if recorded < 1e-5:  # rounding errors alone
                noise += 1
                assert gradient.norm() < 2e-5, name
            else:
                norms[name] = abs(gradient.norm().item() - recorded) / recorded
    print(f"LHSC training, {len(norms)} gradient norms: {max(norms.values()):.1e} (allowed 2e-3)")
    assert max(norms.values()) < 2e-3, max(norms, key=norms.get)
    assert (len(norms), noise) == (155, 10)
    statistics = {}
    for side, state in zip(SIDES, _written(model.state_dict()), strict=True):
        for name, value in state.items():
            if (key := f"train_running/{side}/{name}") in TRAINING:
                recorded = TRAINING[key]
                statistics[name] = deviation(value, recorded) / np.abs(recorded).max()
    print(f"LHSC training, {len(statistics)} running statistics: {max(statistics.values()):.1e}")
    assert len(statistics) == 14
    assert max(statistics.values()) < 2e-5


@pytest.mark.slow
def test_two_processes_and_pieces_are_one(lhsc_settings, tmp_path):
    """Two processes and chunks give the loss and gradients of one in one piece, the filter's
    statistics included."""
    config = ROOT / "configs" / "scenes_lhsc.yaml"
    found = []
    for number, (command, *extra) in enumerate((
        (("python",),),
        (TORCHRUN, "train.sync_batchnorm=true"),
        (("python",), "eval.pair_memory_gb=0.001"),
    )):  # fmt: skip
        out = tmp_path / f"{number}.pth"
        words = [*lhsc_settings, f"run.out={tmp_path / 'run'}", "model.padding=released"]
        # Each of the cubic layers enlarges what sums in another order differ by: one is enough.
        words += ["train.clip=1e9", "train.sum_epochs=0", "model.graph_layers=1", *extra]
        succeed(*command, "tests/training/gradients.py", out, config, *words)
        found.append(torch.load(out, weights_only=True))
    for name, other in zip(("two processes", "chunks"), found[1:], strict=True):
        differing = deviations(other, found[0])
        # A bias before a normalisation has a gradient of rounding errors alone.
        biases = ("output.bias", "pooling.mean.bias")
        differing = {n: d for n, d in differing.items() if not n.endswith(biases)}
        print(f"LHSC, {name}: largest deviation {max(differing.values()):.1e}")
        assert max(differing.values()) < LARGEST, max(differing, key=differing.get)
