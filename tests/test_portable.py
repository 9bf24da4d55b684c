"""A run as a folder that travels, and back."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib.checkpoint import load_checkpoint, load_model, source_of
from lib.config import load_config
from lib.errors import InputError
from lib.files import file_sha256
from lib.portable import portable_config
from scripts import push_to_hub
from tests.support import ROOT, fit


@pytest.fixture(scope="module")
def runs(settings, lhsc_settings, tmp_path_factory):
    """Kind -> a run's folder, with its folder for the hub in it."""
    found = {}
    for kind, own in (("region", settings), ("lhsc", lhsc_settings)):
        run = tmp_path_factory.mktemp("portable") / kind
        words = [*own, "train.epochs=1", f"run.out={run}"]
        fit(load_config(ROOT / "configs" / f"scenes_{kind}.yaml", words))
        push_to_hub.main([str(run), "--repo", "me/x", "--dry-run"])
        found[kind] = run
    return found


@pytest.fixture
def folder(runs, tmp_path):
    return shutil.copytree(runs["region"] / "hub", tmp_path / "hub")


@pytest.mark.parametrize("kind", ["region", "lhsc"])
def test_it_comes_back_whole_without_the_files_it_was_trained_with(runs, kind, tmp_path):
    """Copied away from everything, as to another machine."""
    folder = shutil.copytree(runs[kind] / "hub", tmp_path / "elsewhere")
    path = runs[kind] / "model_best.pth"
    before, after = load_checkpoint(path), load_checkpoint(folder)
    assert after.model.keys() == before.model.keys()
    assert all(torch.equal(after.model[key], value) for key, value in before.model.items())
    assert after.tokenizer == before.tokenizer and after.source == "scenes"
    assert after.progress["best_rsum"] == before.progress["best_rsum"]
    assert after.training is None
    model, tokenizer = load_model(after, str(folder))
    other, words = load_model(before, path)
    assert tokenizer.encode(["a red dog on grass"]) == words.encode(["a red dog on grass"])
    assert [k for k, _ in model.named_parameters()] == [k for k, _ in other.named_parameters()]
    assert source_of(folder) == str(folder)


@pytest.mark.parametrize("kind", ["region", "lhsc"])
def test_no_file_names_this_machine(runs, kind, world):
    for path in (runs[kind] / "hub").rglob("*"):
        if path.is_file() and path.suffix != ".safetensors":
            text = path.read_text()
            assert str(world) not in text and str(runs[kind].parent) not in text, path
            assert "/tmp" not in text


def test_absolute_paths_lose_their_folders(config):
    given = config("features.folder=/data/mine/regions", "train.init=/data/a/model_best.pth")
    found = portable_config(given, {"bert": "bert"})
    assert found.features.folder == "regions" and found.train.init == "model_best.pth"
    assert found.data.root == "data" and found.model.bert == "bert"
    assert found.train.lr == given.train.lr


def rewrite(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_was_changed_is_refused(folder):
    def refused(message):
        with pytest.raises(InputError, match=message):
            found = load_checkpoint(folder)
            load_model(found, str(folder))

    manifest = json.loads((folder / "manifest.json").read_text())
    state = load_file(folder / "model.safetensors")
    (folder / "README.md").write_text("mine")  # the card is the user's
    load_checkpoint(folder)
    name, tensor = next(iter(state.items()))
    save_file(state | {name: tensor + 1}, folder / "model.safetensors")
    refused(r"model\.safetensors differs from its checksum")
    save_file({k: v for k, v in state.items() if k != name}, folder / "model.safetensors")
    files = manifest["files"]
    now = file_sha256(folder / "model.safetensors")
    rewrite(folder, files=files | {"model.safetensors": now})
    refused("does not fit the model; 1 tensors missing")  # strict, whatever the checksum says
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    rewrite(folder, files=files)
    load_checkpoint(folder)
    vocabulary = folder / "bert" / "vocab.txt"
    kept = vocabulary.read_text()
    vocabulary.write_text(kept.replace("dog", "god"))
    refused(r"bert/vocab\.txt differs from its checksum")
    rewrite(folder, files=files | {"bert/vocab.txt": file_sha256(vocabulary)})
    vocabulary.unlink()
    refused(r"lacks bert/vocab\.txt; download or push it again")
    for odd in ("../secret", "/etc/passwd", "a//b", ".hidden"):
        rewrite(folder, files={odd: "0"})
        refused(r"names .* which is no file in it")
    vocabulary.write_text(kept)
    rewrite(folder, files=files, places={"bert": "../bert"})
    refused(r"names '\.\./bert', which is no file in it")
    rewrite(folder, places={"nothing": "bert"})
    refused("places nothing, which names no file")
    rewrite(folder, places={"embed_size": "bert"})
    refused("places embed_size, which names no file")
    listed = {name: value for name, value in files.items() if name != "bert/vocab.txt"}
    rewrite(folder, places={"bert": "bert"}, files=listed)
    refused(r"bert/vocab\.txt has no checksum")
    rewrite(folder, places={"bert": "bert"}, files={"config.yaml": files["config.yaml"]})
    refused(r"does not name model\.safetensors")
    rewrite(folder, format="another")
    refused("is of format 'another', expected")
    (folder / "manifest.json").write_text('{"format": 1}')
    refused(r"its manifest\.json is damaged, or of another version \(format")
    (folder / "manifest.json").write_text("[")
    refused("is not a model's manifest")
