"""Boxes of a file: what they become, and what is refused."""

import gzip
import json

import numpy as np
import pytest

from lib.data.pictures import PictureError
from lib.data.segmentation import VOID
from lib.errors import InputError
from lib.extraction.categories import NUMBER_OF_COCO_ID
from lib.extraction.detections import read_detections


def entry(image_id, bbox, score, category_id=1):
    return {"image_id": image_id, "bbox": bbox, "score": score, "category_id": category_id}


BOXES = [
    entry("000000000012", [1, 2, 10, 20], 0.4, 18),
    entry(12, [-3, 5, 8.5, 100], 0.9, 1),
    entry("a_b", [0, 0, 4, 4], 0.5),
]


def write(path, content=BOXES):
    text = json.dumps(content)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["d.json", "d.json.gz"])
def test_boxes_come_by_score_and_are_cut_to_the_picture(tmp_path, name):
    found = read_detections(write(tmp_path / name))
    assert found.of("12", 50, 40).tolist() == [[0, 5, 5.5, 40], [1, 2, 11, 22]]
    assert found.of("000000000012", 50, 40).shape == (2, 4)
    assert found.of("none", 50, 40).shape == (0, 4)
    assert found.of("12", 50, 4).tolist() == [[1, 2, 11, 4]]  # one is below its lower edge
    told = r"2 of its 2 boxes outside its 50 x 2 pixels, the first -3, 5, 8.5, 100 .* another size"
    with pytest.raises(PictureError, match=told):
        found.of("12", 50, 2)


def test_boxes_are_painted_the_highest_score_in_front(tmp_path):
    found = read_detections(write(tmp_path / "d.json"))
    labels = found.labels("12", 20, 30, 0.3)
    person, dog = NUMBER_OF_COCO_ID[1], NUMBER_OF_COCO_ID[18]
    expected = np.full((30, 20), VOID, np.uint8)
    expected[2:22, 1:11] = dog
    expected[5:30, 0:6] = person
    assert np.array_equal(labels, expected)
    assert set(np.unique(found.labels("12", 20, 30, 0.5))) == {person, VOID}
    assert set(np.unique(found.labels("none", 20, 30, 0.5))) == {VOID}
    below = found.labels("12", 20, 4, 0.3)  # whose score is the second's
    assert set(np.unique(below)) == {dog, VOID}
    assert set(np.unique(found.labels("12", 20, 4, 0.5))) == {VOID}
    other = read_detections(write(tmp_path / "e.json", [entry(1, [0, 0, 4, 4], 1, 12)]))
    with pytest.raises(PictureError, match="has category_id 12, not COCO's"):
        other.labels("1", 8, 8, 0.3)


def test_notes_on_images_of_no_split_and_without_boxes(tmp_path):
    found = read_detections(write(tmp_path / "d.json"))
    unknown, bare = found.notes(["12", "other"])
    assert unknown.endswith("boxes of 1 images that are in no split are left out: a_b")
    assert bare.endswith("has no box of 1 images: other")
    assert found.notes(["12", "a_b"]) == []
    with pytest.raises(InputError, match="cannot tell the images 12 and 012 apart"):
        found.notes(["12", "012"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"annotations": []}, r"is no list of COCO's results"),
        ([{"image_id": 1, "bbox": [1, 2, 3], "score": 1, "category_id": 1}], r"0\.bbox"),
        ([entry(1, [1, 2, 0, 4], 1)], r"box 0 is \[1.0, 2.0, 0.0, 4.0\] with score 1.0"),
        ([{"image_id": 1, "bbox": [1, 2, 3, 4], "category_id": 1}], r"0\.score: Field required"),
    ],
)
def test_files_that_are_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_detections(write(tmp_path / "d.json", content))


def test_unreadable_files(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_detections(tmp_path / "none.json")
    (tmp_path / "d.json.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match="cannot be read"):
        read_detections(tmp_path / "d.json.gz")
