"""scripts/detect_objects.py: one file of boxes, which the other commands take."""

import json

import numpy as np
import pytest
import torch

from lib.extraction.regions import Detector
from scripts import convert_panoptic, detect_objects, extract_regions
from tests.support import ROOT
from tests.test_outputs import holder

PHOTOGRAPHS = ROOT / "tests" / "photographs"


class Finds(torch.nn.Module):
    """A detector that finds two things in every picture, and one that has no size."""

    def forward(self, pictures):
        boxes = torch.tensor([[1.0, 2, 60, 40], [10, 10, 30, 90], [5, 5, 5, 9]])
        scores, labels = torch.tensor([0.4, 0.9, 0.8]), torch.tensor([1, 18, 3])
        return [{"boxes": boxes, "scores": scores, "labels": labels}] * len(pictures)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(detect_objects, "load_detector", lambda name: Detector(Finds(), name, None))
    (tmp_path / "data").mkdir()
    names = sorted(path.stem for path in (PHOTOGRAPHS / "images").iterdir())
    (tmp_path / "data" / "train_ids.txt").write_text("\n".join(names[:2]))
    (tmp_path / "data" / "test_ids.txt").write_text(names[2])
    return tmp_path / "data", names


def detect(data, *flags):
    detect_objects.main(
        ["--images", str(PHOTOGRAPHS / "images"), "--data", str(data), "--workers", "0", *flags]
    )


def test_boxes_and_what_becomes_of_them(folder, capsys):
    data, names = folder
    detect(data)
    assert "detections.json: 6 boxes of 3 images" in capsys.readouterr().out
    found = json.loads((data / "detections.json").read_text())
    assert [entry["image_id"] for entry in found] == [names[2]] * 2 + names[:1] * 2 + names[1:2] * 2
    assert found[0] == {"image_id": names[2], "category_id": 1, "bbox": [1, 2, 59, 38],
                        "score": 0.4}  # fmt: skip
    assert sorted(path.name for path in data.iterdir() if not path.name.startswith(".")) == [
        "detections.json", "detections.manifest.json", "test_ids.txt", "train_ids.txt"
    ]  # fmt: skip
    common = ["--images", str(PHOTOGRAPHS / "images"), "--data", str(data), "--workers", "0"]
    common += ["--boxes", str(data / "detections.json")]
    extract_regions.main(
        [*common, "--backbone", "timm:test_resnet", "--weights", "random", "--regions", "3"]
    )
    boxes = np.load(data / "train_ims_bbx.npy")
    assert boxes[0, :2].tolist() == [[10, 10, 30, 90], [1, 2, 60, 40]]  # by score
    assert np.load(data / "train_ims.npy").shape == (2, 3, 96)
    convert_panoptic.main(common)
    assert np.load(data / "test_cat_onehots.npy").sum(axis=1).tolist() == [2]


def test_a_finished_file_is_kept(folder, capsys):
    data, _ = folder
    detect(data)
    written = (data / "detections.json").stat().st_mtime_ns
    detect(data)
    assert "detections.json: is complete" in capsys.readouterr().out
    with pytest.raises(SystemExit) as left:
        detect(data, "--score", "0.5")
    assert "was made with other settings: score 0.1 there, 0.5 now" in left.value.code
    assert (data / "detections.json").stat().st_mtime_ns == written
    detect(data, "--score", "0.5", "--overwrite")
    assert len(json.loads((data / "detections.json").read_text())) == 3
    (data / "detections.manifest.json").unlink()
    with pytest.raises(SystemExit) as left:
        detect(data)
    assert "exists without a manifest; --overwrite replaces it" in left.value.code


def test_pictures_that_cannot_be_used_are_listed(folder):
    data, names = folder
    (data / "test_ids.txt").write_text(f"{names[2]}\nnone")
    with pytest.raises(SystemExit) as left:
        detect(data)
    assert "1 pictures could not be used" in left.value.code
    assert not (data / "detections.json").exists()


def test_killed_before_the_manifest_it_goes_on(folder, monkeypatch):
    data, _ = folder
    write = detect_objects.write_provenance

    def killed(path, provenance):
        raise KeyboardInterrupt

    monkeypatch.setattr(detect_objects, "write_provenance", killed)
    with pytest.raises(SystemExit):
        detect(data)
    assert not (data / "detections.manifest.json").exists()
    monkeypatch.setattr(detect_objects, "write_provenance", write)
    detect(data)
    assert len(json.loads((data / "detections.json").read_text())) == 6
    (data / "detections.json").write_text("[]")
    with pytest.raises(SystemExit) as left:
        detect(data)
    assert "it has been changed since" in left.value.code


def test_no_input_is_replaced(folder):
    data, _ = folder
    for out in ("train_ids.txt", "b.json.gz"):
        with pytest.raises(SystemExit):
            detect(data, "--out", str(data / out), "--overwrite")
    assert len((data / "train_ids.txt").read_text().split()) == 2


def test_launches_over_other_splits_do_not_share_a_file(folder):
    """Whoever ended first would remove the boxes of the other."""
    data, _ = folder
    with holder(data, "detections.detecting") as other:
        with pytest.raises(SystemExit, match="is in use by process"):
            detect(data, "--splits", "test")
        other.kill()
    detect(data, "--splits", "test")
