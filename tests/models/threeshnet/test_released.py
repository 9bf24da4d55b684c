"""The public release's checkpoints: to ours and back, exactly, or refused."""

import argparse

import numpy as np
import pytest
import torch

from lib.checkpoint import load_checkpoint, save_checkpoint
from lib.errors import InputError
from lib.models import family_of
from lib.released_checkpoint import save_released
from tests.support import (
    SMALL_BERT,
    VSE_INFINITY,
    bert_config,
    fail,
    released_checkpoint,
    small_model,
    succeed,
)


def same_states(one, other):
    assert [set(a) for a in one] == [set(b) for b in other]
    for a, b in zip(one, other, strict=True):
        for key, value in a.items():
            if ".bns.1." not in key:  # never used; exporting writes a fresh one
                assert value.dtype == b[key].dtype
                assert torch.equal(value, b[key]), key


@pytest.mark.slow
def test_full_size_round_trip_by_the_command_line(tmp_path):
    """A released file of BERT-base size to ours and back, exactly, metadata included."""
    released, ours, back = (tmp_path / f"{name}.pth" for name in ("released", "ours", "back"))
    raw = released_checkpoint()
    torch.save(raw, released)
    assert "our format, 3SHNet" in succeed(*convert(released, ours))
    assert "the release's format" in succeed(*convert(ours, back))
    allowed = [argparse.Namespace]
    with torch.serialization.safe_globals(allowed):
        again = torch.load(back, weights_only=True)
    same_states(raw["model"], again["model"])
    for key in ("epoch", "best_rsum", "Eiters", "opt"):
        assert again[key] == raw[key]
    fresh = again["model"][0]["module.mlp.bns.1.running_var"]
    assert torch.equal(fresh, torch.ones(1024))
    assert "exists already" in fail(*convert(released, ours))


def convert(source, target):
    return "python", "scripts/convert_checkpoint.py", source, target


def save_small(path, change=None, parts=None, **opt):
    raw = released_checkpoint(bert_config(**SMALL_BERT), parts, **opt)
    if change:
        change(raw)
    torch.save(raw, path)
    return raw


def test_vse_infinity_loads_without_segmentation(tmp_path):
    save_small(tmp_path / "m.pth", parts=VSE_INFINITY, data_name="f30k_precomp")
    checkpoint = load_checkpoint(tmp_path / "m.pth")
    model = checkpoint.config.model
    assert family_of(model).title(model) == "VSE-infinity"
    assert checkpoint.config.data.dataset == "f30k"


def test_other_dataset_names_survive_conversion(tmp_path):
    save_small(tmp_path / "m.pth", data_name="theirs_precomp")
    save_checkpoint(tmp_path / "ours.pth", load_checkpoint(tmp_path / "m.pth"))
    assert load_checkpoint(tmp_path / "ours.pth").released["opt"]["data_name"] == "theirs_precomp"


def test_normalisation_options_are_read(tmp_path):
    save_small(tmp_path / "m.pth", no_imgnorm=True)
    model = load_checkpoint(tmp_path / "m.pth").config.model
    assert (model.normalise_images, model.normalise_texts) == (False, True)


@pytest.mark.parametrize("old_name", [False, True], ids=["NumPy 2", "NumPy 1"])
def test_numpy_scalars_are_read_under_both_names(tmp_path, monkeypatch, old_name):
    path = tmp_path / "m.pth"
    save_small(path, lambda raw: raw.update(best_rsum=np.float32(531.5)))
    if old_name:
        import zipfile

        with zipfile.ZipFile(path) as source:
            files = {name: source.read(name) for name in source.namelist()}
        with zipfile.ZipFile(path, "w") as target:
            for name, content in files.items():
                target.writestr(name, content.replace(b"numpy._core", b"numpy.core"))
    assert load_checkpoint(path).released["best_rsum"] == 531.5


def test_position_ids_may_be_missing(tmp_path):
    key = "module.bert.embeddings.position_ids"
    raw = save_small(tmp_path / "m.pth", lambda raw: raw["model"][1].pop(key))
    save_checkpoint(tmp_path / "ours.pth", load_checkpoint(tmp_path / "m.pth"))
    save_released(tmp_path / "back.pth", load_checkpoint(tmp_path / "ours.pth"))
    with torch.serialization.safe_globals([argparse.Namespace]):
        again = torch.load(tmp_path / "back.pth", weights_only=True)
    same_states(raw["model"], again["model"])


@pytest.mark.parametrize(
    ("side", "remove", "add", "message"),
    [
        (0, "module.seg_mlp.bns.0.weight", None, "1 tensors missing: seg_mlp.bns.0.weight"),
        (1, "module.linear.bias", None, "1 tensors missing: linear.bias"),
        (0, "module.fc.weight", None, "lacks fc.weight"),
        (0, None, "module.regions.weight", "1 tensors unexpected: regions.weight"),
        (0, None, "module.fc.scale", "1 tensors unexpected: fc.scale"),
        (1, None, "module.rnn.weight", "1 tensors unexpected: rnn.weight"),
    ],
)
def test_partial_released_files_are_refused(tmp_path, side, remove, add, message):
    def change(raw):
        raw["model"][side].pop(remove, None)
        if add:
            raw["model"][side][add] = torch.zeros(3)

    save_small(tmp_path / "m.pth", change)
    with pytest.raises(InputError, match=message):
        load_checkpoint(tmp_path / "m.pth")


def test_a_tensor_of_another_shape_is_named(tmp_path):
    def change(raw):
        raw["model"][0]["module.fusion_mlp.layers.0.weight"] = torch.zeros(512, 7)

    save_small(tmp_path / "m.pth", change)
    with pytest.raises(InputError, match=r"fusion_mlp.layers.0.weight \(512, 7\) instead"):
        load_checkpoint(tmp_path / "m.pth")


@pytest.mark.slow
def test_an_ablated_model_cannot_be_exported(tmp_path):
    _, checkpoint = small_model(vspm=False)
    save_checkpoint(tmp_path / "c.pth", checkpoint)
    error = fail(*convert(tmp_path / "c.pth", tmp_path / "r.pth"))
    assert "no place for 3SHNet without VSpM" in error
    assert not (tmp_path / "r.pth").exists()


def test_our_run_can_be_exported_and_read_back(tmp_path):
    model, checkpoint = small_model()
    save_checkpoint(tmp_path / "c.pth", checkpoint)
    succeed(*convert(tmp_path / "c.pth", tmp_path / "r.pth"))
    again = load_checkpoint(tmp_path / "r.pth")
    assert again.is_released
    assert again.config.model == checkpoint.config.model
    assert all(torch.equal(v, again.model[k]) for k, v in model.state_dict().items())
    opt = again.released["opt"]
    wanted = {"max_violation": True, "no_imgnorm": False, "no_txtnorm": False, "margin": 0.2}
    wanted |= {"precomp_enc_type": "basic", "data_name": "f30k_precomp"}
    assert {name: opt[name] for name in wanted} == wanted


def test_options_become_plain_values(tmp_path):
    odd = {"workers": (np.int64(4), [np.float32(0.5)]), "device": torch.device("cpu")}
    save_small(tmp_path / "m.pth", lambda raw: raw["opt"].__dict__.update(odd, device=None))
    opt = load_checkpoint(tmp_path / "m.pth").released["opt"]
    assert opt["workers"] == [4, [0.5]]
    assert opt["device"] is None


def test_layers_with_a_gap_are_refused(tmp_path):
    def change(raw):
        name = "module.bert.encoder.layer.999999999.output.dense.bias"
        raw["model"][1][name] = torch.zeros(3)

    save_small(tmp_path / "m.pth", change)
    with pytest.raises(InputError, match="3 layers, one of them number 999999999"):
        load_checkpoint(tmp_path / "m.pth")
