"""Label maps of a whole data set in one file."""

import numpy as np
import pytest

from lib.data.pictures import PictureError
from lib.errors import InputError
from lib.extraction.label_maps import read_label_maps


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
