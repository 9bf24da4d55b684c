import re

import pytest
import yaml

from lib.config import describe_settings, from_dict, load_config
from lib.errors import InputError
from lib.models import FAMILIES
from tests.support import ROOT, fail, run, succeed

CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
REGION = ROOT / "configs" / "coco_region.yaml"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_config_parses_and_says_how_to_run_it(path):
    load_config(path)
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    text = "\n".join(header)
    assert "scripts/" in text
    assert "Expected" in text


def test_round_trip():
    config = load_config(CONFIGS[0], ["train.lr=5e-4", "features.folder=regions"])
    assert config.train.lr == 5e-4
    assert from_dict(yaml.safe_load(config.to_yaml()), "again") == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.batchsize=3", "unknown setting train.batchsize; did you mean train.batch_size?"),
        ("trian.lr=3", "unknown section trian; there are data, features, model, train, eval, run"),
        ("train.lr=fast", "train.lr is 'fast', expected number from 0"),
        ("train.epochs=2.5", "train.epochs is 2.5, expected integer from 1"),
        ("train.epochs=0", "train.epochs is 0, expected integer from 1"),
        ("train.lr=.nan", "train.lr is nan"),
        ("train.lr=.inf", "train.lr is inf"),
        ("features.drop=1.5", "expected number from 0 to 1"),
        ("model.vsem=1", "model.vsem is 1, expected true or false"),
        ("model.embed_size=null", "model.embed_size is None, expected integer"),
        ("data.dataset=a/b", "data.dataset is 'a/b', expected a name such as f30k"),
        ("run.device=gpu", "expected auto or cpu or cuda"),
        ("lr", "expected section.key=value"),
        ("lr=3", "expected section.key=value"),
    ],
)
def test_bad_overrides_are_explained(override, message):
    with pytest.raises(InputError, match=re.escape(message)):
        load_config(REGION, [override])


@pytest.mark.parametrize(
    ("text", "message"),
    [("train: [1]", "expected key: value"), ("a: b: c", "readable YAML"), ("3", "the file is 3")],
)
def test_bad_files_are_explained(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=str(path)) as error:
        load_config(path)
    assert message in str(error.value)


def test_text_is_taken_literally():
    config = load_config(
        CONFIGS[0], ["run.out=/tmp/x #1", "data.root=2024", "model.bert=no", "features.folder=null"]
    )
    assert (config.run.out, config.data.root, config.model.bert) == ("/tmp/x #1", "2024", "no")
    assert config.features.folder is None


def test_missing_file():
    with pytest.raises(InputError, match="no such config"):
        load_config("nowhere.yaml")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.learning_rate=1", "train.learning_rate; did you mean train.lr?"),
        ("train.bs=1", "train.bs; did you mean train.batch_size?"),
        ("train.seed=1", "train.seed; did you mean run.seed?"),
        ("train.xyzzy=1", "train.xyzzy; known here: epochs, batch_size, lr"),
        ("model.direction=i2t", "model.direction is a setting of cmsei, but model.family is three"),
        ("model.family=cmsei", "model.vsem is a setting of threeshnet, but model.family is cmsei"),
        ("model.family=foo", "model.family is 'foo', expected one of threeshnet, cmsei"),
    ],
)
def test_suggestions_are_near_and_families_are_apart(tmp_path, override, message):
    path = tmp_path / "c.yaml"
    path.write_text("model:\n  vsem: true\n")
    with pytest.raises(InputError, match=re.escape(message)) as error:
        load_config(path, [override])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data:\n  root: a\n  root: b\n", "line 3 has the key root for the second time"),
        ("data: {}\ntrain: {}\ndata: {}\n", "line 3 has the key data for the second time"),
        ("a: &x [1]\nb: [*x, *x]\n", r"line 2 has the alias \*x"),
        ("[" * 5000, "not a readable YAML file"),
        ("? [1]\n: 2\n", "not a readable YAML file"),
        ("model: x", "model is 'x', expected key: value lines"),
        ("model:\n  family: [a]\n", "expected one of threeshnet, cmsei"),
        ("1: 2", "unknown section 1"),
        ("train:\n  1: a\n  '1': b\n", "line 3 has the key 1 for the second time"),
        ("run: {out: 2020-99-99}", "not a readable YAML file"),
        ("train: {epochs: !!int abc}", "not a readable YAML file"),
        ("train: {epochs: !!bool abc}", "not a readable YAML file"),
        ("train: {epochs: !!timestamp abc}", "not a readable YAML file"),
        ("[]", r"the file is \[\], expected key: value lines"),
        ("0", "the file is 0, expected key: value lines"),
    ],
)
def test_yaml_that_is_refused(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        load_config(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_an_alias_bomb_costs_nothing(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for i in range(1, 12):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]")
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    with pytest.raises(InputError, match="has the alias"):
        load_config(tmp_path / "bomb.yaml")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_setting_is_described(family):
    lines = describe_settings(family)
    flat = from_dict({"model": {"family": family}}, "t").flat()
    assert [line.split(" (")[0] for line in lines] == list(flat)
    for line in lines:
        assert re.fullmatch(r"[\w.]+ \(.+; default \S+\): \S.+", line), line


def test_settings_are_printed_without_torch():
    printed = succeed("python", "-X", "importtime", "train.py", "--settings")
    assert "train.lr (number from 0; default 0.0005): " in printed
    cmsei = succeed("python", "train.py", "--settings", "--config", "configs/coco_cmsei.yaml")
    assert "model.direction (i2t or t2i; default i2t)" in cmsei
    assert "model.vsem" not in cmsei
    assert succeed("python", "train.py", "--settings", "model.family=cmsei") == cmsei
    assert "train.lr is 'abc'" in fail("python", "train.py", "--settings", "train.lr=abc")
    assert "are required: --config" in run("python", "train.py").stderr
    code = "import sys, train; sys.argv[1:] = ['--settings']; train.main(); "
    succeed("python", "-c", code + "assert 'torch' not in sys.modules")


RECIPE = {  # VSE-infinity's for regions, which 3SHNet's release trains with
    "train.epochs": 25,
    "train.batch_size": 128,
    "train.lr": 5e-4,
    "train.decay_epoch": 15,
    "train.decay": 0.1,
    "train.drop_last": True,
    "train.weight_decay": 1e-4,
    "train.clip": 2.0,
    "train.sum_epochs": 1,
    "train.margin": 0.2,
    "train.mask_same_image": False,
    "train.sync_batchnorm": False,
    "model.bert_lr_scale": 0.1,
    "model.embed_size": 1024,
    "model.img_dim": 2048,
    "model.categories": 133,
    "model.cells": 7,
    "model.map_size": 64,
    "model.normalise_images": True,
    "model.normalise_texts": True,
    "data.word_augment": 0.2,
    "features.drop": 0.2,
    "features.drop_scheme": "each",
    "features.grid_size": 7,
}


def test_defaults_are_the_published_recipe():
    found = from_dict({}, "defaults").flat()
    assert {name: found[name] for name in RECIPE} == RECIPE


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("f30k_region", {}),
        ("coco_region", {"train.batch_size": 256}),
        ("f30k_grid", {}),
        ("coco_grid", {}),
    ],
)
def test_the_papers_configs_are_the_published_recipe(name, changes):
    found = load_config(ROOT / "configs" / f"{name}.yaml").flat()
    assert {key: found[key] for key in RECIPE} == RECIPE | changes


LHSC = {  # as the commands in its authors' README
    "train.epochs": 50,
    "train.batch_size": 128,
    "train.lr": 2e-4,
    "train.decay_epoch": [20, 40],
    "train.decay": 0.1,
    "train.drop_last": False,
    "train.weight_decay": 0.0,
    "train.clip": 2.0,
    "train.sum_epochs": 0,
    "train.margin": 0.2,
    "data.word_augment": 0.0,
    "features.drop": 0.0,
    "model.embed_size": 1024,
    "model.word_dim": 300,
    "model.sim_dim": 256,
    "model.img_dim": 2048,
    "model.regions": 36,
    "model.graph_layers": 4,
    "model.dropout": 0.4,
    "model.min_count": 4,
    "model.padding": "ignored",
    "model.bert": None,
}


@pytest.mark.parametrize("dataset", ["coco", "f30k"])
def test_lhsc_s_configs_are_its_recipe(dataset):
    found = load_config(ROOT / "configs" / f"{dataset}_lhsc.yaml").flat()
    assert {key: found[key] for key in LHSC} == LHSC


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.decay_epoch=x", "train.decay_epoch is 'x', expected integer from 1 or a list of"),
        ("train.decay_epoch=[3,0]", r"train.decay_epoch is \[3, 0\], expected integer from 1 or a"),
        (
            "train.decay_epoch=0",
            "train.decay_epoch is 0, expected integer from 1 or a list of them",
        ),
    ],
)
def test_a_list_of_epochs(override, message):
    assert load_config(None, ["train.decay_epoch=[3,5]"]).train.decay_epoch == [3, 5]
    with pytest.raises(InputError, match=message):
        load_config(None, [override])


def test_a_grid_may_be_what_a_model_of_so_many_regions_wants():
    grid = ["model.family=lhsc", "features.type=grid", "features.folder=grids", "features.drop=0"]
    assert load_config(None, [*grid, "model.regions=49"]).model.regions == 49
    with pytest.raises(
        InputError, match=r"model\.regions is 36, but the features have 49 rows per"
    ):
        load_config(None, grid)


def test_an_override_that_is_no_yaml_is_text():
    with pytest.raises(InputError, match=r"train\.lr.*number"):
        load_config(None, ["train.lr=[1"])


@pytest.mark.parametrize(
    ("override", "message"),
    [("data.root=", r"data\.root is empty"), ("run.out=a\tb", "out holds a control character")],
)
def test_texts_hold_something_that_can_be_seen(override, message):
    with pytest.raises(InputError, match=message):
        load_config(None, [override])
