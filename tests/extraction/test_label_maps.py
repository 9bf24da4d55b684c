"""Label maps of a whole data set in one file."""

import json

import numpy as np
import pytest

from lib.data.pictures import PictureError
from lib.data.segmentation import VOID
from lib.errors import InputError
from lib.extraction.label_maps import read_label_maps
from scripts import convert_panoptic


def write(path, labels=None, ids=("a", "000000000012")):
    if labels is None:
        labels = np.arange(2, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(6, 2)
    np.savez_compressed(path, labels=labels, ids=np.array(ids))
    return path


def test_maps_are_found_by_id(tmp_path):
    found = read_label_maps(write(tmp_path / "l.npz"))
    assert found.labels("a").tolist() == [[0] * 6] * 4
    assert found.labels("12").tolist() == [[1] * 6] * 4
    with pytest.raises(PictureError, match=r"l\.npz has no label map of it"):
        found.labels("b")


def test_what_is_refused(tmp_path):
    wrong = read_label_maps(write(tmp_path / "l.npz", np.full((2, 3, 3), 133, np.uint8)))
    with pytest.raises(PictureError, match=r"has the label 133, expected 0 to 132, or 255"):
        wrong.labels("a")
    for labels, ids, message in (
        (np.zeros((2, 3, 3), np.int64), ("a", "b"), r"labels are int64"),
        (np.zeros((2, 3), np.uint8), ("a", "b"), r"expected uint8 \(n, H, W\)"),
        (np.zeros((2, 3, 3), np.uint8), ("a",), r"ids \(1,\)"),
        (np.zeros((2, 3, 3), np.uint8), ("12", "012"), "has an id twice"),
        (np.zeros((2, 3, 3), np.uint8), (1.5, 2.5), "ids are float64"),
    ):
        with pytest.raises(InputError, match=message):
            read_label_maps(write(tmp_path / "x.npz", labels, ids))
    with pytest.raises(InputError, match="no such file"):
        read_label_maps(tmp_path / "none.npz")
    (tmp_path / "d.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"cannot be read as an \.npz of labels and ids"):
        read_label_maps(tmp_path / "d.npz")


def test_they_become_segmentation_arrays(tmp_path, capsys):
    labels = np.full((2, 14, 14), VOID, np.uint8)
    labels[0, :7] = 4
    labels[1] = 132
    write(tmp_path / "l.npz", labels)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "test_ids.txt").write_text("000000000012\na\n")
    words = ["--labels", str(tmp_path / "l.npz"), "--data", str(tmp_path / "data")]
    convert_panoptic.main([*words, "--workers", "0"])
    shares = np.load(tmp_path / "data" / "test_segmentations.npy")
    assert (shares[0, 132] == 1).all()
    assert shares[1, 4].sum(axis=1).tolist() == [7, 7, 7, 3.5, 0, 0, 0]
    assert np.load(tmp_path / "data" / "test_seg_maps.npy")[1, 0, 0] == 4
    made = json.loads((tmp_path / "data" / "test_seg_maps.manifest.json").read_text())
    assert (made["extractor"], made["weights"]) == ("label maps", "l.npz")
    (tmp_path / "data" / "test_ids.txt").write_text("b\n")
    with pytest.raises(SystemExit) as left:
        convert_panoptic.main([*words, "--workers", "0", "--overwrite"])
    assert "1 pictures could not be used" in left.value.code
    assert "l.npz has no label map of it" in (tmp_path / "data" / "failed.txt").read_text()


@pytest.mark.parametrize(
    "words", [("--json", "j"), ("--boxes", "b"), ("--labels", "l", "--png", "p"), ()]
)
def test_sources_that_do_not_go_together(words, tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        convert_panoptic.main([*words, "--data", str(tmp_path)])
    assert left.value.code == 2
    assert "usage:" in capsys.readouterr().err
