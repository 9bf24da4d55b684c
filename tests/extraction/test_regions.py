"""scripts/extract_regions.py: boxes, what fills them up, their features, and kills."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from lib.errors import InputError
from lib.extraction import regions
from lib.extraction.grid import load_extractor
from lib.extraction.regions import Detector, RegionExtractor, fixed_boxes, load_detector
from scripts import extract_regions
from tests.support import ROOT


class Finds(torch.nn.Module):
    """A detector that finds what it is told, in this order."""

    def __init__(self, *found):
        super().__init__()
        self.found = found

    def forward(self, pictures):
        boxes, scores = zip(*self.found, strict=True) if self.found else ((), ())
        one = {"boxes": torch.tensor(boxes).reshape(-1, 4), "scores": torch.tensor(scores)}
        return [one] * len(pictures)


@pytest.fixture(scope="module")
def grid():
    return load_extractor("random")


def test_fixed_boxes_are_ever_finer_grids():
    boxes = fixed_boxes(6, 200, 100)
    assert boxes.tolist() == [
        [0, 0, 200, 100], [0, 0, 100, 50], [100, 0, 200, 50], [0, 50, 100, 100],
        [100, 50, 200, 100], [0, 0, pytest.approx(200 / 3), pytest.approx(100 / 3)],
    ]  # fmt: skip
    assert fixed_boxes(0, 10, 10).shape == (0, 4)


def test_boxes_come_by_score_and_are_filled_up(grid):
    low, high = (1.0, 2.0, 30.0, 40.0), (5.0, 6.0, 50.0, 60.0)
    detector = Detector(Finds((low, 0.2), (high, 0.9)), "x", None)
    pictures = torch.zeros((2, 3, 96, 64), dtype=torch.uint8)
    for boxes in RegionExtractor(detector, grid, 4).boxes(pictures):
        expected = [*(torch.tensor(b) for b in (high, low)), *fixed_boxes(2, 64, 96)]
        torch.testing.assert_close(boxes, torch.stack(expected))
    (fewer,) = RegionExtractor(detector, grid, 1).boxes(pictures[:1])
    assert fewer.tolist() == [list(high)]


def test_features_are_those_of_the_place(grid):
    """The whole picture's box is the map's mean; boxes of different places differ."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 255, (2, 3, 128, 192), generator=generator, dtype=torch.uint8)
    sizes = torch.tensor([[384.0, 256.0], [192.0, 64.0]])  # of the files' pictures
    features, boxes = RegionExtractor(Detector(Finds(), "x", None), grid, 5)(pictures, sizes)
    assert features.shape == (2, 5, 2048)
    assert boxes[0, 1].tolist() == [0, 0, 192, 128]  # the upper left quarter
    assert boxes[1, 1].tolist() == [0, 0, 96, 32]
    given = fixed_boxes(5, 384, 256)[None].repeat(2, 1, 1) * torch.tensor([[[1.0]], [[0.5]]])
    known = RegionExtractor(None, grid, 5)(pictures[:1], sizes[:1], given[:1])
    torch.testing.assert_close(known[0], features[:1])
    assert torch.equal(known[1], given[:1])
    with torch.inference_mode():
        maps = grid.backbone(grid.preprocessing.normalise(pictures))
    quarter = maps[:, :, :2, :3].mean(dim=(2, 3))  # box 1 is the upper left quarter
    closest = torch.cdist(quarter, features[0]).argmin(dim=1)
    assert closest[0] == 1
    assert (features[:, 1] - features[:, 4]).abs().max() > 1e-3
    assert (features[0] - features[1]).abs().max() > 1e-3


def test_a_map_of_any_stride_is_scaled_by_its_size(grid):
    """timm's networks pad, so that 260 pixels make 9 cells, and not 8.1."""
    box = torch.tensor([[[65.0, 40.0, 195.0, 180.0]]])
    extractor = RegionExtractor(None, replace(grid, backbone=Columns(), stride=None), 1)
    picture = torch.zeros((1, 3, 260, 260), dtype=torch.uint8)
    features, _ = extractor(picture, torch.tensor([[260.0, 260.0]]), box)
    assert features[0, 0].tolist() == pytest.approx([9 * 130 / 260, 9 * 110 / 260], abs=1e-4)


class Columns(torch.nn.Module):
    """A map whose value is the column of the cell, of a network with stride 32."""

    def forward(self, pixels):
        height, width = (-(-side // 32) for side in pixels.shape[-2:])
        columns = torch.arange(width, dtype=torch.float32) + 0.5
        rows = torch.arange(height, dtype=torch.float32)[:, None] + 0.5
        return torch.stack([columns.expand(height, -1), rows.expand(-1, width)])[None]


def test_boxes_lie_where_they_are_on_the_map(grid):
    """Also where the picture's sides are no multiples of the stride."""
    box = (40.0, 200.0, 120.0, 600.0)  # its centre is at column 80 / 32, row 400 / 32
    detector = Detector(Finds((box, 0.9)), "x", None)
    extractor = RegionExtractor(detector, replace(grid, backbone=Columns()), 1)
    picture = torch.zeros((1, 3, 1000, 176), dtype=torch.uint8)
    features, _ = extractor(picture, torch.tensor([[176.0, 1000.0]]))
    assert features[0, 0].tolist() == pytest.approx([80 / 32, 400 / 32], abs=1e-4)


@pytest.mark.slow
def test_another_number_of_regions_is_another_making(pictures):
    extract_regions.main(words(pictures))
    with pytest.raises(SystemExit) as left:
        extract_regions.main(words(pictures, "--regions", "4"))
    assert "made with other settings: regions 6 there, 4 now" in left.value.code


def test_detectors_that_do_not_suit(tmp_path):
    with pytest.raises(InputError, match="no such file of weights"):
        load_detector(str(tmp_path / "none.pth"))
    torch.save({"x": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="is not of Faster R-CNN"):
        load_detector(str(tmp_path / "w.pth"))


@pytest.fixture
def pictures(tmp_path, world):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "data").mkdir()
    rendered = sorted((world / "scenes_precomp" / "images").iterdir())[:5]
    for path in rendered:
        shutil.copy(path, tmp_path / "pictures")
    ids = [path.stem for path in rendered]
    (tmp_path / "data" / "train_ids.txt").write_text("\n".join(ids) + "\n")
    return tmp_path


def words(folder, *flags):
    return [
        "--images", str(folder / "pictures"), "--data", str(folder / "data"), "--weights", "random",
        "--detector", "random", "--shortest", "64", "--longest", "64", "--regions", "6",
        "--batch_size", "2", "--workers", "0", "--device", "cpu", *flags,
    ]  # fmt: skip


SLOWLY = """
import sys, time
from lib.data import pictures
from scripts import extract_regions

decode = pictures.decode

def slowly(path):
    time.sleep(0.3)
    return decode(path)

pictures.decode = slowly
extract_regions.main(sys.argv[1:])
"""


@pytest.mark.slow
def test_killed_and_resumed_gives_the_same_files(pictures, tmp_path):
    whole = tmp_path / "whole"
    for name in ("pictures", "data"):
        shutil.copytree(pictures / name, whole / name)
    extract_regions.main(words(whole))
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, *words(pictures)], cwd=ROOT)
    work = pictures / "data" / ".train_ims.extracting"
    while len(list(work.glob("*.npz"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(list(work.glob("*.npz"))) < 5
    extract_regions.main(words(pictures))
    names = ("train_ims.npy", "train_ims.manifest.json", "train_ims_bbx.npy")
    for name in names:
        same = (pictures / "data" / name).read_bytes() == (whole / "data" / name).read_bytes()
        assert same, name
    array = np.load(pictures / "data" / names[0])
    assert array.shape == (5, 6, 2048)
    assert array.dtype == np.float16
    assert np.isfinite(array).all()
    manifest = json.loads((pictures / "data" / names[1]).read_text())
    assert manifest["settings"]["detector"] == ["random, seed 0", None]


@pytest.mark.slow
def test_what_cannot_be_used_is_listed(pictures):
    (pictures / "pictures" / "000003.png").unlink()
    with pytest.raises(SystemExit) as left:
        extract_regions.main(words(pictures))
    assert "1 pictures could not be used" in left.value.code
    assert not (pictures / "data" / "train_ims.npy").exists()
    Image.new("L", (1, 1)).save(pictures / "pictures" / "000003.png")  # mended, if oddly
    Image.new("RGB", (20_000, 20)).save(pictures / "pictures" / "000002.png")
    extract_regions.main(words(pictures))
    assert np.load(pictures / "data" / "train_ims.npy").shape == (5, 6, 2048)


def test_torchvision_s_own_detector(monkeypatch, tmp_path):
    build, choice = regions.DETECTORS["coco"]
    tried = []

    def unavailable(weights=None, **more):
        tried.append(weights)
        raise OSError("no route to host")

    monkeypatch.setitem(regions.DETECTORS, "coco", (unavailable, choice))
    with pytest.raises(InputError, match=r"unavailable \(no route to host\); pass the file"):
        load_detector("coco")
    (weights,) = tried
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    file = tmp_path / "checkpoints" / weights.url.rpartition("/")[2]
    file.parent.mkdir()

    def there(weights=None, **_):
        return build(weights=None, weights_backbone=None)

    monkeypatch.setitem(regions.DETECTORS, "coco", (there, choice))
    state = there().state_dict()
    torch.save(state, file)
    named = load_detector("coco")
    assert named.weights == f"torchvision {weights}"
    assert len(named.sha256) == 64
    read = load_detector(str(file))
    assert (read.weights, read.sha256) == (file.name, named.sha256)
    for name, value in read.model.state_dict().items():
        assert torch.equal(value, state[name])
