"""The scripts that begin with photographs: one's own, Flickr8K's, and those of the tests."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lib.evaluation.records import read_record
from scripts import convert_instances
from tests.support import ROOT, fail, succeed

PHOTOGRAPHS = ROOT / "tests" / "photographs"
SMALL = ("train.batch_size=4", "train.epochs=1", "model.embed_size=32", "data.workers=0")


@pytest.fixture(scope="module")
def environment():
    """An active environment that has the pins, as scripts/setup.sh finds it."""
    folder = str(Path(sys.executable).parent)
    return os.environ | {"PATH": folder + os.pathsep + os.environ["PATH"]}


@pytest.fixture(scope="module")
def flickr(tmp_path_factory):
    """Three photographs as Flickr8K's files: CSV, lists and boxes beside it."""
    folder = tmp_path_factory.mktemp("flickr")
    words = ["--annotations", str(PHOTOGRAPHS / "annotations.json")]
    convert_instances.main([*words, "--out", str(folder / "made")])
    table = (folder / "made" / "captions.txt").read_text().splitlines()
    lines = [line.split("\t") for line in table]
    rows = "".join(f'{name},"{caption}"\n' for name, caption in lines)
    (folder / "captions.txt").write_text(f"image,caption\n{rows}")
    names = list(dict.fromkeys(name for name, _ in lines))
    for split, name in zip(("train", "dev", "test"), names, strict=True):
        (folder / f"Flickr_8k.{split}Images.txt").write_text(f"{name}\n")
    shutil.copy(folder / "made" / "boxes.json", folder / "detections.json")
    return folder


@pytest.mark.slow
def test_photographs_become_a_table(environment, tmp_path):
    """Three photographs through every command; started again, nothing is done twice."""
    env = environment | {"DATA_PATH": str(tmp_path / "data"), "OUT": str(tmp_path / "runs")}
    command = ("sh", "scripts/photographs.sh", "tests/photographs", "train.batch_size=4")
    command += ("model.embed_size=32", "data.workers=0")
    printed = succeed(*command, env=env, timeout=600)
    for row in (", region, single ", ", grid, single ", ", region + grid, ensemble of 2 "):
        assert printed.count(row) == 1
    for name in ("mine_precomp", "panoptic_model"):
        assert np.load(tmp_path / "data" / name / "train_seg_maps.npy").shape == (1, 64, 64)
    found = re.findall(r"^ +\d+ +-?[0-9.]+  (\d+)  ", printed, re.MULTILINE)
    assert sorted(found) == ["000000255165", "000000408805", "000000519208"]
    arrays = tmp_path / "data" / "mine_precomp" / "train_ims.npy"
    written = arrays.stat().st_mtime_ns
    again = succeed(*command, env=env, timeout=600)
    assert "all 2 epochs are done" in again
    assert arrays.stat().st_mtime_ns == written


def test_own_pictures_says_how_it_is_called(environment, tmp_path):
    assert "usage: sh scripts/own_pictures.sh" in fail(
        "sh", "scripts/own_pictures.sh", tmp_path / "none", "x", env=environment
    )
    table = tmp_path / "captions.txt"
    table.touch()
    assert "PANOPTIC_JSON needs PANOPTIC_PNG" in fail(
        "sh", "scripts/own_pictures.sh", tmp_path, table, env=environment | {"PANOPTIC_JSON": "x"}
    )
    assert "usage: sh scripts/photographs.sh" in fail(
        "sh", "scripts/photographs.sh", tmp_path, env=environment
    )


@pytest.mark.slow
def test_flickr8k_from_pictures_to_a_table(flickr, environment, world, tmp_path):
    """And on from its checkpoint to pictures of one's own; started again, nothing is done twice."""
    bert = world / "scenes_precomp" / "bert"
    env = environment | {"DATA_PATH": str(tmp_path / "data"), "OUT": str(tmp_path / "runs")}
    env |= {"BERT": str(bert), "SEEDS": "3", "ROWS": "region grid vse_grid"}
    env |= {"PHOTOGRAPHS": str(PHOTOGRAPHS)}
    command = ("sh", "scripts/flickr8k.sh", PHOTOGRAPHS / "images", flickr / "captions.txt", *SMALL)
    printed = succeed(*command, env=env, timeout=600)
    for row in ("\n3SHNet, region, single ", "\n3SHNet, grid, single ",
                "\nVSE-infinity, grid, single ", "\n3SHNet, region + grid, ensemble of 2 ",
                "photographs test, 3 images"):  # fmt: skip
        assert row in printed
    data = tmp_path / "data" / "f8k_precomp"
    assert np.load(data / "train_ims.npy").shape == (1, 24, 1280)
    assert np.load(data / "train_ims_bbx.npy").shape == (1, 24, 4)
    made = json.loads((data / "train_seg_maps.manifest.json").read_text())
    assert made["extractor"] == "painted boxes"
    assert (tmp_path / "runs" / "region-3" / "photographs.png").is_file()
    written = {p: p.stat().st_mtime_ns for p in data.rglob("*.npy")}
    again = succeed(*command, env=env, timeout=600)
    table = printed[printed.index("== 5 of 5") :]
    assert again.endswith(table) and "its log is" not in again
    assert {p: p.stat().st_mtime_ns for p in data.rglob("*.npy")} == written

    env |= {"OUT": str(tmp_path / "mine"), "DETECTOR": "random"}
    del env["BERT"]  # it is the checkpoint's
    init = ("--init", tmp_path / "runs" / "region-3" / "model_best.pth")
    own = ("sh", "scripts/own_pictures.sh", PHOTOGRAPHS / "images", flickr / "captions.txt")
    printed = succeed(*own, *init, *SMALL[:2], env=env, timeout=600)
    assert "starts from the weights of" in printed
    assert "reads regions alone" in printed
    assert "words from the checkpoint's network" in printed or torch.cuda.is_available()
    record = read_record(tmp_path / "mine" / "region" / "results.json")
    assert record.origins[0].model == "3SHNet"
    assert np.load(tmp_path / "data" / "mine_precomp" / "test_ims.npy").shape == (1, 24, 1280)


@pytest.mark.slow
def test_flickr8k_says_what_is_missing(flickr, environment, world, tmp_path):
    """Before anything is made."""
    env = environment | {"DATA_PATH": str(tmp_path), "OUT": str(tmp_path / "runs")}
    env |= {"BERT": str(world / "scenes_precomp" / "bert")}
    images = PHOTOGRAPHS / "images"
    assert "usage: sh scripts/flickr8k.sh" in fail("sh", "scripts/flickr8k.sh", images, env=env)
    command = ("sh", "scripts/flickr8k.sh", images, flickr / "captions.txt")
    assert "--rows names other" in fail(*command, env=env | {"ROWS": "region other"})
    told = fail(*command, env=env | {"BOXES": "none.json"})
    assert told.endswith("none.json: no such file\n")
    assert "holds no annotations.json" in fail(*command, env=env | {"PHOTOGRAPHS": str(tmp_path)})
    assert "error: tokenizer 'no/bert': not found" in fail(*command, env=env | {"BERT": "no/bert"})
    told = fail(*command, env=env | {"WEIGHTS": "none.pth"})
    assert told.startswith("error: none.pth: no such file of a backbone's weights")
    told = fail(*command, env=env | {"LISTS": str(tmp_path)})
    assert "has neither train_ids.txt nor Flickr_8k.trainImages.txt" in told
    assert not (tmp_path / "f8k_precomp").exists()
    told = fail("sh", "scripts/own_pictures.sh", images, flickr / "captions.txt", "--init", "none",
                env=env)  # fmt: skip
    assert told == "error: --init none: no such run or checkpoint\n"
