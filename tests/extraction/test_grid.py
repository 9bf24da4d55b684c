"""From pictures to grid features: names, numbers, odd pictures, kills."""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import asdict

import numpy as np
import pytest
import torch
from PIL import Image

from lib.config import FeaturesConfig
from lib.data.feature_files import FeatureFiles
from lib.data.pictures import decode
from lib.extraction.grid import Preprocessing, load_extractor, resized
from lib.models.common import backbone_weights
from lib.models.common.backbone import NORMALISATIONS
from scripts import extract_grid
from tests.support import ROOT, succeed


def test_a_detectron2_file_gives_identical_maps(published):
    network, path = published
    extractor = load_extractor(str(path))
    pixels = torch.randn(2, 3, 96, 64)
    with torch.inference_mode():
        stem = network.maxpool(network.relu(network.bn1(network.conv1(pixels))))
        expected = network.layer4(network.layer3(network.layer2(network.layer1(stem))))
        found = extractor.backbone(pixels)
    assert found.shape == (2, 2048, 3, 2)
    assert torch.equal(found, expected)
    assert extractor.weights == "X-101.pth"
    assert len(extractor.sha256) == 64


def test_preprocessing_is_detectron2s():
    picture = Image.new("RGB", (640, 480), (10, 20, 30))
    detectron2 = Preprocessing(**asdict(NORMALISATIONS["detectron2"]))
    pixels = detectron2.normalise(detectron2.resize(picture))
    assert pixels.shape == (3, 600, 800)
    blue = (30 - 103.530) / 57.375
    assert pixels[0].unique().tolist() == pytest.approx([blue])
    assert resized((2000, 500), 600, 1000) == (1000, 250)
    assert resized((1, 20_000), 600, 1000) == (64, 1000)
    assert resized((1, 1), 600, 1000) == (600, 600)


IDS = [f"{i}" for i in range(1, 9)]


@pytest.fixture
def pictures(tmp_path, world):
    """Eight scenes under COCO's names, of two shapes, and a folder with their ids."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "data").mkdir()
    rendered = sorted((world / "scenes_precomp" / "images").iterdir())
    for i, path in zip(IDS, rendered, strict=False):
        picture = Image.open(path)
        if int(i) % 3 == 0:
            picture = picture.crop((0, 0, 224, 160))
        picture.save(tmp_path / "pictures" / f"COCO_train2014_{int(i):012d}.jpg")
    for split, ids in (("train", IDS[:5]), ("dev", IDS[5:])):
        (tmp_path / "data" / f"{split}_ids.txt").write_text("\n".join(ids) + "\n")
    return tmp_path


def words(folder, *flags):
    return [
        "--images", str(folder / "pictures"), "--data", str(folder / "data"), "--weights", "random",
        "--shortest", "64", "--longest", "96", "--batch_size", "3", "--workers", "0",
        "--device", "cpu", *flags,
    ]  # fmt: skip


def refusal(folder, *flags):
    with pytest.raises(SystemExit) as left:
        extract_grid.main(words(folder, *flags))
    return left.value.code


def files(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "data" / "grids").iterdir())}


def test_a_split_is_extracted_and_read_back(pictures):
    extract_grid.main(words(pictures))
    grids = pictures / "data" / "grids"
    manifest = json.loads((grids / "manifest.json").read_text())
    assert manifest["counts"] == {"train": 5, "dev": 3}
    assert manifest["weights"] == "random, seed 0"
    assert manifest["settings"]["preprocessing"]["shortest"] == 64
    extractor = load_extractor("random")
    prepare = Preprocessing(**manifest["settings"]["preprocessing"])
    for i in IDS:
        path = pictures / "pictures" / f"COCO_train2014_{int(i):012d}.jpg"
        with torch.inference_mode():
            pixels = prepare.normalise(prepare.resize(decode(path)))
            maps = extractor.backbone(pixels[None])[0].permute(1, 2, 0)
        found = np.load(grids / f"{i}.npy")
        assert found.dtype == np.float16
        assert found.shape == maps.shape == (2, 3 if int(i) % 3 == 0 else 2, 2048)
        np.testing.assert_allclose(found, maps.numpy(), rtol=2e-3, atol=1e-4)
    features = FeaturesConfig(type="grid", folder="grids", grid_size=2)
    assert FeatureFiles(grids, IDS, 2048, features)[2].shape == (4, 2048)
    before = files(pictures)
    extract_grid.main(words(pictures))  # nothing to do
    assert files(pictures) == before


def test_cells_may_be_averaged_as_they_are_written(pictures):
    extract_grid.main(words(pictures, "--splits", "dev", "--dtype", "float32"))
    whole = np.load(pictures / "data" / "grids" / "7.npy")
    more = ("--splits", "dev", "--dtype", "float32", "--grid_size", "1", "--out", "averages")
    extract_grid.main(words(pictures, *more))
    one = np.load(pictures / "data" / "averages" / "7.npy")
    assert one.shape == (1, 1, 2048)
    np.testing.assert_allclose(one[0, 0], whole.mean(axis=(0, 1)), rtol=1e-5, atol=1e-6)


SLOWLY = """
import sys, time
from lib.data import pictures
from scripts import extract_grid

decode = pictures.decode

def slowly(path):
    time.sleep(0.15)
    return decode(path)

pictures.decode = slowly
extract_grid.main(sys.argv[1:])
"""


@pytest.mark.slow
def test_killed_and_resumed_gives_the_same_files(pictures, tmp_path):
    whole = tmp_path / "whole"
    for name in ("pictures", "data"):
        shutil.copytree(pictures / name, whole / name)
    extract_grid.main(words(whole))
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, *words(pictures)], cwd=ROOT)
    grids = pictures / "data" / "grids"
    while len(list(grids.glob("[0-9].npy"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert len(list(grids.glob("[0-9].npy"))) < 8
    extract_grid.main(words(pictures))
    assert files(pictures) == files(whole)


def test_what_cannot_be_used_is_listed_and_the_rest_is_done(pictures):
    (pictures / "pictures" / "COCO_train2014_000000000002.jpg").unlink()
    broken = pictures / "pictures" / "COCO_train2014_000000000007.jpg"
    broken.write_bytes(broken.read_bytes()[:500])
    (pictures / "data" / "failed.txt").write_text("panoptic\ttrain\t9\tsomething else\n")
    assert "2 pictures could not be used" in refusal(pictures)
    lines = (pictures / "data" / "failed.txt").read_text().splitlines()
    assert lines[0] == "panoptic\ttrain\t9\tsomething else"
    assert [line.split("\t")[:3] for line in lines[1:]] == [
        ["grid", "dev", "7"], ["grid", "train", "2"],
    ]  # fmt: skip
    present = {path.stem for path in (pictures / "data" / "grids").glob("*.npy")}
    assert present == set(IDS) - {"2", "7"}


def test_odd_shapes_can_be_trained_on(pictures):
    """One pixel, ribbons, and every kind of pixel, through the extractor and 7 x 7 averages."""
    odd = {"1": (1, 1), "2": (20_000, 20), "3": (20, 20_000), "4": (640, 59)}
    for (i, size), mode in zip(odd.items(), ("L", "RGB", "CMYK", "I;16"), strict=True):
        stem = pictures / "pictures" / f"COCO_train2014_{int(i):012d}"
        stem.with_suffix(".jpg").unlink()
        suffix = ".png" if mode == "I;16" else ".jpg"
        Image.new(mode, size).save(stem.with_suffix(suffix))
    extract_grid.main(words(pictures, "--splits", "train"))
    features = FeaturesConfig(type="grid", folder="grids", grid_size=7)
    folder = FeatureFiles(pictures / "data" / "grids", IDS[:5], 2048, features)
    assert all(folder[i].shape == (49, 2048) for i in range(5))


def test_features_made_with_other_settings_are_not_mixed(pictures):
    extract_grid.main(words(pictures))
    assert "existing features were made with other settings: preprocessing" in refusal(
        pictures, "--shortest", "96"
    )
    (pictures / "data" / "grids" / "manifest.json").unlink()
    for path in (pictures / "data" / "grids").iterdir():  # as they were published
        path.rename(path.with_suffix(".pth"))
    assert "holds features without a manifest" in refusal(pictures)


def test_the_command(pictures):
    flags = words(pictures, "--splits", "dev", "--workers", "2")
    printed = succeed("python", "scripts/extract_grid.py", *flags)
    assert "3 of 3 images of dev" in printed


@pytest.mark.slow
def test_training_and_evaluation_need_no_torchvision(settings, tmp_path):
    """transformers imports it where it can; here nobody can, and a model is trained and scored."""
    code = """
import sys
sys.modules["torchvision"] = None
import eval, eval_cross_ensemble, eval_ensemble, train
data, out, *settings = sys.argv[1:]
sys.argv = ["train.py", "--config", "configs/scenes_grid.yaml", f"run.out={out}", *settings]
train.main()
words = ["--checkpoint", f"{out}/model_best.pth", "--data_path", data, "--dataset", "scenes"]
eval.main([*words, "--workers", "0"])
assert not any(name.startswith("lib.extraction") for name in sys.modules)
"""
    data = settings[0].removeprefix("data.root=")
    succeed("python", "-c", code, data, tmp_path / "run", *settings, "train.epochs=1")


def test_torchvision_s_own_weights_are_noted(monkeypatch, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("lib.extraction.grid.load_backbone", lambda *_: torch.nn.Identity())
    backbone_weights.imagenet_file(backbone_weights.X101).write_bytes(b"abc")
    extractor = load_extractor("imagenet")
    assert extractor.weights == "torchvision resnext101_32x8d imagenet"
    assert extractor.sha256.startswith("ba7816bf")
    assert extractor.preprocessing.mean == NORMALISATIONS["imagenet"].mean


def timm_words(folder, *flags):
    return [
        "--images", str(folder / "pictures"), "--data", str(folder / "data"), "--weights", "random",
        "--backbone", "timm:test_vit", "--batch_size", "3", "--workers", "0", "--device", "cpu",
        *flags,
    ]  # fmt: skip


def test_grids_of_timm_s_networks(pictures):
    """Patch tokens as cells; the whole picture, stretched; all of it in the manifest."""
    extract_grid.main(timm_words(pictures, "--size", "96", "--dtype", "float32"))
    found = np.load(pictures / "data" / "grids" / "3.npy")
    assert found.shape == (6, 6, 64)
    manifest = json.loads((pictures / "data" / "grids" / "manifest.json").read_text())
    assert manifest["extractor"] == "grid: timm:test_vit"
    about = manifest["settings"]["preprocessing"]
    assert (about["size"], about["interpolation"]) == (96, "bicubic")
    extractor = load_extractor("random", "timm:test_vit", size=96)
    picture = decode(pictures / "pictures" / "COCO_train2014_000000000003.jpg")
    assert picture.size == (224, 160)
    pixels = extractor.preprocessing.resize(picture)
    assert pixels.shape == (3, 96, 96)
    with torch.inference_mode():
        (expected,) = extractor.maps(pixels[None])
    np.testing.assert_allclose(found, expected.permute(1, 2, 0), rtol=1e-4, atol=1e-5)


def test_sizes_that_are_not_for_the_network(pictures):
    def refused(*words):
        with pytest.raises(SystemExit) as left:
            extract_grid.main([*words])
        return left.value.code

    told = refused(*timm_words(pictures, "--shortest", "64"))
    assert "--shortest and --longest are for torchvision's networks; timm:test_vit sees" in told
    assert "--size is for timm:NAME; resnext101_32x8d keeps" in refusal(pictures, "--size", "64")
    told = refused(*timm_words(pictures, "--size", "96", "--grid_size", "7"))
    assert "gives 6 x 6 cells of pictures of 96 x 96 pixels, too few for --grid_size 7" in told
    told = refusal(pictures, "--grid_size", "7")
    assert "gives 2 x 2 cells of pictures of 64 x 64 pixels, too few for --grid_size" in told
    told = refused(*timm_words(pictures, "--size", "90"))
    assert "does not take pictures of 90 x 90 pixels" in told
    told = refused(*timm_words(pictures, "--backbone", "vgg"))
    assert told == (
        "error: --backbone is 'vgg', expected one of resnet18, resnet50, resnet101, resnet152, "
        "resnext101_32x8d, resnet50_caffe, resnet101_caffe, resnet152_caffe, or timm:NAME"
    )
    assert not (pictures / "data" / "grids").exists()
