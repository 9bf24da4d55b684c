import re

import pytest
import yaml

from lib.config import Config, from_dict, load_config
from lib.errors import InputError
from tests.support import ROOT

CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


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
        ("train.batchsize=3", "unknown key train.batchsize; did you mean batch_size?"),
        ("trian.lr=3", "unknown key trian; did you mean train?"),
        ("train.lr=fast", "train.lr is 'fast', expected float"),
        ("train.epochs=2.5", "train.epochs is 2.5, expected int"),
        ("train.epochs=0", "train.epochs is 0, expected at least 1"),
        ("train.lr=.nan", "train.lr is nan"),
        ("train.lr=.inf", "train.lr is inf"),
        ("features.drop=1.5", "expected at least 0 and at most 1"),
        ("model.vsem=1", "model.vsem is 1, expected bool"),
        ("model.embed_size=null", "model.embed_size is None, expected int"),
        ("data.dataset=coco2", "expected one of coco, f30k, mine, scenes"),
        ("run.device=gpu", "expected one of auto, cpu, cuda"),
        ("lr", "expected section.key=value"),
        ("lr=3", "expected section.key=value"),
    ],
)
def test_bad_overrides_are_explained(override, message):
    with pytest.raises(InputError, match=re.escape(message)):
        load_config(CONFIGS[0], [override])


@pytest.mark.parametrize(
    ("text", "message"),
    [("train: [1]", "expected key: value"), ("a: b: c", "readable YAML"), ("3", "the file holds")],
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


def test_an_ablation_never_passes_for_the_whole_model():
    def title(**switches):
        return from_dict({"model": switches}, "test").model.title

    assert Config().model.title == "3SHNet"
    assert title(vsem=False) == "3SHNet without VSeM"
    assert title(vsem=False, vspm=False) == "3SHNet without VSeM and VSpM"
    assert title(segmentation=False) == "VSE-infinity"
