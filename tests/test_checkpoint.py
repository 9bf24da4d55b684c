"""Released files, the key map, and everything that may be wrong with a checkpoint."""

import argparse
import os

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from lib.checkpoint import FORMAT, load_checkpoint, load_weights, save_checkpoint, save_released
from lib.config import from_dict
from lib.demo.small_bert import write_small_bert
from lib.errors import InputError
from lib.models import family_of
from lib.models.threeshnet.model import ThreeSHNet
from tests.support import SMALL_BERT, VSE_INFINITY, bert_config, fail, released_checkpoint, succeed


def same_states(one, other):
    assert [set(a) for a in one] == [set(b) for b in other]
    for a, b in zip(one, other, strict=True):
        for key, value in a.items():
            if ".bns.1." not in key:  # never used; exporting writes a fresh one
                assert value.dtype == b[key].dtype
                assert torch.equal(value, b[key]), key


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


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "bare pickle"])
def test_a_pickle_bomb_does_not_go_off(tmp_path, zipped):
    path = tmp_path / "model_best.pth"
    raw = {"model": [{}, {}], "opt": Bomb(tmp_path / "burst")}
    torch.save(raw, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"refused.*io\.open"):
        load_checkpoint(path)
    assert not (tmp_path / "burst").exists()


def small_model(**sizes):
    config = from_dict({"model": {"img_dim": 8, "embed_size": 16, "map_size": 4, **sizes}}, "t")
    bert = BertConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=20,
    )  # fmt: skip
    from lib.checkpoint import Checkpoint

    model = ThreeSHNet(config.model, BertModel(bert))
    return model, Checkpoint(config, model.state_dict(), progress={"epoch": 1})


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


def test_a_web_page_is_no_checkpoint(tmp_path):
    (tmp_path / "c.pth").write_text("<!DOCTYPE html><html>Google Drive can't scan this file</html>")
    with pytest.raises(InputError, match=r"not a PyTorch file.*or a web page"):
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


def test_a_small_bert_is_reproducible(tmp_path):
    (tmp_path / "caps.txt").write_text("a dog on the grass\ntwo dogs and a cat\n" * 20)
    for name in ("one", "two"):
        write_small_bert(tmp_path / name, tmp_path / "caps.txt", hidden=32, layers=1)
    for file in ("vocab.txt", "config.json", "model.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
