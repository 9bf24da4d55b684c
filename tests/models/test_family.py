"""A family is a folder and a line of the registry: one that only this test registers."""

import json
import os
import shutil
import signal

import numpy as np
import pytest

from lib.checkpoint import load_checkpoint
from lib.config import load_config
from lib.models import FAMILIES
from lib.models.common.retrieval_model import RetrievalModel
from lib.models.family import Family as BaseFamily
from tests.models.bag_of_words import KILL, NAME, Config, Family, Words
from tests.support import run, same, succeed

WITH = ("python", "-m", "tests.models.bag_of_words")
YAML = """
data: {dataset: scenes, workers: 0}
model: {family: bag_of_words, img_dim: 32, depth: 2}
train: {epochs: 3, batch_size: 16, lr: 1e-2, sum_epochs: 1}
run: {device: cpu}
"""


@pytest.fixture(scope="module")
def data(world, tmp_path_factory):
    """The tiny world with a weight per region, under the names of two datasets."""
    root = tmp_path_factory.mktemp("family")
    for name in ("scenes", "f30k"):
        folder = root / f"{name}_precomp"
        shutil.copytree(world / "scenes_precomp", folder, ignore=shutil.ignore_patterns("bert"))
        for split in ("train", "dev", "test"):
            rows = np.load(folder / f"{split}_ims.npy", mmap_mode="r").shape[:2]
            weights = np.random.default_rng(0).random(rows).astype(np.float32) + 0.1
            np.save(folder / f"{split}_saliency.npy", weights)
    (root / "bow.yaml").write_text(YAML)
    return root


@pytest.fixture(scope="module")
def trained(data):
    """Two runs; the first was killed in its second epoch and resumed."""
    for name, changes in (("a", ()), ("b", ("model.saliency=false", "run.seed=1"))):
        flags = (f"data.root={data}", f"run.out={data / name}", *changes)
        command = (*WITH, "train.py", "--config", data / "bow.yaml", *flags)
        if name == "a":
            done = run(*command, env=os.environ | {KILL: "9"})
            assert done.returncode == -signal.SIGKILL
            assert load_checkpoint_of(data / "a").progress["epoch"] == 1
            command = (*command, "--resume")
        succeed(*command)
    return data


def load_checkpoint_of(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, NAME, Family())
        return load_checkpoint(folder / "checkpoint.pth")


def scored(data, program, *flags):
    where = ("--data_path", data, "--device", "cpu", "--workers", "0")
    return succeed(*WITH, program, *flags, *where)


def test_killed_and_resumed_is_uninterrupted(trained):
    whole = trained / "whole"
    flags = (f"data.root={trained}", f"run.out={whole}")
    succeed(*WITH, "train.py", "--config", trained / "bow.yaml", *flags)
    same(load_checkpoint_of(trained / "a"), load_checkpoint_of(whole))


def test_a_checkpoint_keeps_settings_words_and_rates(trained):
    checkpoint = load_checkpoint_of(trained / "a")
    assert checkpoint.config.model.depth == 2
    assert {"a", "red"} & set(checkpoint.tokenizer["words"])
    groups = checkpoint.training["optimizer"]["param_groups"]
    assert [(group["name"], group["lr"]) for group in groups] == [
        ("words", pytest.approx(2e-2)), ("regions", pytest.approx(1e-2))
    ]  # fmt: skip


@pytest.mark.slow
def test_it_is_scored_averaged_searched_and_tabled(trained):
    for name, title in (("a", "BoW region"), ("b", "BoW without saliency region")):
        run_dir = trained / name
        words = ("--checkpoint", run_dir / "model_best.pth", "--dataset", "scenes")
        kept = ("--save_results", run_dir / "r.safetensors", "--json", run_dir / "r.json")
        vectors = ("--save_embeddings", run_dir / "e.safetensors")
        assert title in scored(trained, "eval.py", *words, *kept, *vectors)
    # Captions that no training has seen are scored with the checkpoint's vocabulary.
    results = [trained / name / "r.safetensors" for name in "ab"]
    printed = succeed(*WITH, "eval_ensemble.py", *results, "--json", trained / "mean.json")
    assert "ensemble of 2" in printed
    both = ("--checkpoints", *(trained / name / "model_best.pth" for name in "ab"))
    printed = scored(trained, "eval_cross_ensemble.py", *both, "--dataset", "f30k")
    assert "cross-dataset: trained on scenes, scored on f30k without tuning" in printed
    gallery = ("--embeddings", trained / "a" / "e.safetensors", "--device", "cpu")
    query = ("--checkpoint", trained / "a" / "model_best.pth", "--query", "a red dog", "-k", "2")
    found = succeed(*WITH, "scripts/search.py", *query, *gallery)
    assert len(found.splitlines()) == 3
    records = (trained / "a", trained / "b", trained / "mean.json")
    table = succeed(*WITH, "scripts/results_table.py", "--format", "markdown", *records)
    settings = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| BoW")]
    assert settings == ["| BoW", "| BoW without saliency", "| BoW and BoW without saliency"]
    # A table reads no checkpoint, so that it knows families that it never heard of.
    assert succeed("python", "scripts/results_table.py", "--format", "markdown", *records) == table
    figures = json.loads((trained / "a" / "r.json").read_text())["results"][0]["metrics"]
    (row,) = (line for line in table.splitlines() if line.startswith("| BoW | region | single"))
    assert row.split(" | ")[-2] == f"{figures['rsum']:.1f}"


def test_its_settings_are_its_own(data, monkeypatch):
    with pytest.raises(Exception, match=r"model\.family is 'bag_of_words', expected one of"):
        load_config(data / "bow.yaml")
    monkeypatch.setitem(FAMILIES, NAME, Family())
    assert load_config(data / "bow.yaml", ["model.depth=3"]).model.depth == 3
    for override, message in (
        ("model.depth=4", "model.depth is 4, expected integer from 1 to 3"),
        ("model.vspm=false", "model.vspm is a setting of threeshnet, but model.family is"),
        ("model.bert=folder", "model.bert is a setting of threeshnet, cmsei and lhsc, but"),
    ):
        with pytest.raises(Exception, match=message):
            load_config(data / "bow.yaml", [override])


def test_a_missing_array_of_its_own_is_named(trained, tmp_path):
    (folder := tmp_path / "scenes_precomp").mkdir()
    for path in (trained / "scenes_precomp").glob("test_*"):
        if "saliency" not in path.name:
            shutil.copy(path, folder)
    command = ("eval.py", "--checkpoint", trained / "a" / "model_best.pth", "--dataset", "scenes")
    done = run(*WITH, *command, "--data_path", tmp_path, "--device", "cpu")
    assert done.returncode == 1
    assert done.stderr == f"error: {folder / 'test_saliency.npy'}: no such file\n"


def test_what_a_family_need_not_declare():
    class Least(Family):
        inputs = BaseFamily.inputs

    config, arrays = Config(family=NAME), {"any": np.zeros(3)}
    assert Least().inputs(config) == ()
    assert Least().seen_through(None, arrays) is arrays
    assert Least().released is None and Least().whole(config) is None
    model = Least().build(config, Words(["a"]), pretrained=False)
    (group,) = RetrievalModel.parameter_groups(model, 0.5)
    assert group["lr"] == 0.5
    assert len(group["params"]) == len(list(model.parameters()))
