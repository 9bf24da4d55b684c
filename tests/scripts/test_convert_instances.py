"""scripts/convert_instances.py on real photographs' polygons, and on to segmentation arrays."""

import json

import numpy as np
import pytest
from PIL import Image

from lib.annotations.coco_instances import Annotated, mask_of, panoptic_of, read_annotations
from lib.extraction.categories import NUMBER_OF_COCO_ID
from lib.extraction.segmentation import open_panoptic
from scripts import convert_instances, convert_panoptic
from tests.support import ROOT

PHOTOGRAPHS = ROOT / "tests" / "photographs"


def refusal(*words):
    with pytest.raises(SystemExit) as left:
        convert_instances.main([str(word) for word in words])
    return left.value.code


def test_masks():
    square = mask_of([[2, 1, 5, 1, 5, 3, 2, 3], [0, 5, 0, 5, 0, 5]], 8, 6)
    assert square.shape == (6, 8)
    assert square[1:4, 2:6].all()
    assert square.sum() == 12 + 1  # and the second polygon's one pixel
    runs = mask_of({"size": [3, 4], "counts": [2, 3, 7]}, 4, 3)  # column by column
    assert np.argwhere(runs).tolist() == [[0, 1], [1, 1], [2, 0]]
    with pytest.raises(ValueError, match="run lengths of 11 pixels for 4 x 3"):
        mask_of({"size": [3, 4], "counts": [2, 3, 6]}, 4, 3)


def test_smaller_instances_are_in_front():
    dog = {"category_id": 18, "segmentation": [[0, 0, 9, 0, 9, 9, 0, 9]]}
    ball = {"category_id": 37, "segmentation": [[4, 4, 6, 4, 6, 6, 4, 6]]}
    behind = {"category_id": 1, "segmentation": [[4, 4, 6, 4, 6, 6, 4, 6]]}
    picture = Annotated(1, "a.jpg", 12, 10, instances=[ball, behind, dog])
    colours, segments = panoptic_of(picture)
    numbers = {s["category_id"]: s["id"] for s in segments}
    assert set(numbers) == {18, 1}  # of the two of one size the later is in front
    assert colours[5, 5].tolist() == [numbers[1], 0, 0]
    assert colours[0, 0].tolist() == [numbers[18], 0, 0]
    assert colours[0, 11].tolist() == [0, 0, 0]
    assert {s["category_id"]: s["area"] for s in segments} == {18: 100 - 9, 1: 9}


def test_photographs_to_arrays(tmp_path, capsys):
    convert_instances.main(
        ["--annotations", str(PHOTOGRAPHS / "annotations.json"), "--out", str(tmp_path)]
    )
    assert "3 images, 28 segments in panoptic/, 15 captions" in capsys.readouterr().out
    lines = (tmp_path / "captions.txt").read_text().splitlines()
    assert "000000519208.jpg\ta man standing next to an elephant next to his trunk" in lines
    ids = ["255165", "408805", "519208"]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train_ids.txt").write_text("\n".join(ids))
    files = ["--json", str(tmp_path / "panoptic.json"), "--png", str(tmp_path / "panoptic")]
    convert_panoptic.main([*files, "--data", str(tmp_path / "data"), "--workers", "0"])
    content = json.loads((PHOTOGRAPHS / "annotations.json").read_text())
    images = {str(image["id"]): image for image in content["images"]}
    onehots = np.load(tmp_path / "data" / "train_cat_onehots.npy")
    shares = np.load(tmp_path / "data" / "train_segmentations.npy")
    for i, image_id in enumerate(ids):
        image = images[image_id]
        expected = {NUMBER_OF_COCO_ID[one["category_id"]] for one in image["instances"]}
        assert set(onehots[i].nonzero()[0].tolist()) == expected
        size = (image["width"], image["height"])
        with Image.open(tmp_path / "panoptic" / f"{int(image_id):012d}.png") as png:
            assert png.size == size
        with Image.open(PHOTOGRAPHS / "images" / image["file_name"]) as photograph:
            assert photograph.size == size
    # The elephant is large, and stands where its box says.
    elephant = shares[ids.index("519208"), NUMBER_OF_COCO_ID[22]]
    left, top, width, height = next(
        one["bbox"] for one in images["519208"]["instances"] if one["category_id"] == 22
    )
    row, column = np.unravel_index(elephant.argmax(), elephant.shape)
    assert elephant.max() > 0.9
    assert left <= (column + 0.5) / 7 * images["519208"]["width"] <= left + width
    assert top <= (row + 0.5) / 7 * images["519208"]["height"] <= top + height


def test_cocos_own_files_and_nested_ones_say_the_same(tmp_path):
    nested = json.loads((PHOTOGRAPHS / "annotations.json").read_text())["images"]
    bare = [{k: v for k, v in i.items() if k not in ("captions", "instances")} for i in nested]
    captions = [{"image_id": i["id"], "caption": c} for i in nested for c in i["captions"]]
    instances = [{"image_id": i["id"], **one} for i in nested for one in i["instances"]]
    for name, annotations in (("captions", captions), ("instances", instances)):
        content = {"images": bare, "annotations": annotations}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    found = read_annotations([tmp_path / "captions.json", tmp_path / "instances.json"])
    expected = read_annotations([PHOTOGRAPHS / "annotations.json"])
    for one, other in zip(found, expected, strict=True):
        assert one.captions == other.captions
        assert np.array_equal(panoptic_of(one)[0], panoptic_of(other)[0])


def test_pictures_are_known_by_their_names_too(tmp_path):
    """A table of one's own knows no COCO id, but the picture's name, here COCO's of 2014."""
    content = json.loads((PHOTOGRAPHS / "annotations.json").read_text())
    for image in content["images"]:
        image["file_name"] = f"COCO_train2014_{image['file_name']}"
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    convert_instances.main(["--annotations", str(path), "--out", str(tmp_path / "out")])
    (tmp_path / "data").mkdir()
    ids = [image["file_name"].removesuffix(".jpg") for image in content["images"]]
    (tmp_path / "data" / "train_ids.txt").write_text("\n".join(ids))
    files = ["--json", tmp_path / "out" / "panoptic.json", "--png", tmp_path / "out" / "panoptic"]
    command = [*files, "--data", tmp_path / "data", "--workers", "0"]
    convert_panoptic.main([str(word) for word in command])
    assert len(np.load(tmp_path / "data" / "train_seg_maps.npy")) == 3


def test_nothing_of_others_is_replaced(tmp_path):
    table = tmp_path / "captions.txt"
    table.write_text("mine\ta dog\n")
    command = ("--annotations", PHOTOGRAPHS / "annotations.json", "--out", tmp_path)
    assert "holds other files and no conversion" in refusal(*command)
    assert table.read_text() == "mine\ta dog\n"
    content = json.loads((PHOTOGRAPHS / "annotations.json").read_text())
    for i, image in enumerate(content["images"]):
        image["file_name"] = f"{i}/1.jpg"
    path = tmp_path / "same.json"
    path.write_text(json.dumps(content))
    words = ("--annotations", path, "--out", tmp_path / "out")
    assert "3 pictures are called 1; rename them" in refusal(*words)
    assert not (tmp_path / "out").exists()


def test_bad_annotations(tmp_path):
    path = tmp_path / "a.json"
    command = ("--annotations", path, "--out", tmp_path / "out")
    assert "cannot be read" in refusal(*command)
    image = {"id": 3, "file_name": "3.jpg", "width": 4, "height": 4}
    foreign = {"images": [image], "annotations": [{"image_id": 4, "caption": "x"}]}
    for content in ([], {"images": 3}, {"images": [{"id": 1}]}, foreign):
        path.write_text(json.dumps(content))
        assert "is not one of COCO's annotation files" in refusal(*command)
    odd = {"category_id": 12, "segmentation": [[0, 0, 3, 0, 3, 3]]}
    for instance, message in (
        (odd, "category_id 12 is not one of COCO's"),
        (odd | {"category_id": 1, "segmentation": [["x"]]}, "image 3: "),
        (odd | {"category_id": 1, "segmentation": {"counts": [3]}}, "image 3: "),
    ):
        path.write_text(json.dumps({"images": [image | {"instances": [instance]}]}))
        assert message in refusal(*command)
    assert not (tmp_path / "out" / "panoptic.json").exists()


def annotated(path, *instances):
    image = {"id": 1, "file_name": "a.jpg", "width": 12, "height": 10, "instances": instances}
    path.write_text(json.dumps({"images": [image]}))
    return path


SQUARE = [[2, 2, 6, 2, 6, 6, 2, 6]]


def test_boxes_where_there_are_no_masks(tmp_path):
    """Behind the masks, the highest score in front; and boxes.json of all instances."""
    person, dog = ({"category_id": c, "bbox": [0, 0, w, 10], "score": s} for c, w, s in
                   ((1, 12, 0.4), (18, 8, 0.6)))  # fmt: skip
    ball = {"category_id": 37, "segmentation": SQUARE, "bbox": None}
    path = annotated(tmp_path / "a.json", ball, dog, person)
    boxes = [
        {"image_id": "1", "category_id": 3, "bbox": [8, 8, 9, 9], "score": s} for s in (0.9, 0.2)
    ]
    (tmp_path / "d.json").write_text(json.dumps(boxes))
    words = ["--annotations", str(path), "--boxes", str(tmp_path / "d.json")]
    convert_instances.main([*words, "--out", str(tmp_path / "out")])
    found = json.loads((tmp_path / "out" / "boxes.json").read_text())
    assert [(e["category_id"], e["bbox"], e["score"]) for e in found] == [
        (37, [2, 2, 5, 5], 1), (18, [0, 0, 8, 10], 0.6), (1, [0, 0, 12, 10], 0.4),
        (3, [8, 8, 4, 2], 0.9),
    ]  # fmt: skip
    result = open_panoptic(tmp_path / "out" / "panoptic.json", tmp_path / "out" / "panoptic")
    labels = result.labels("1")
    at = {(3, 3): 37, (0, 0): 18, (0, 9): 1, (9, 9): 3}
    for (row, column), category in at.items():
        assert labels[row, column] == NUMBER_OF_COCO_ID[category]


def test_its_own_input_is_never_replaced(tmp_path):
    path = annotated(tmp_path / "a.json", {"category_id": 1, "segmentation": SQUARE})
    convert_instances.main(["--annotations", str(path), "--out", str(tmp_path / "out")])
    before = (tmp_path / "out" / "boxes.json").read_bytes()
    boxes = ("--boxes", tmp_path / "out" / "boxes.json")
    told = refusal("--annotations", path, *boxes, "--out", tmp_path / "out")
    assert "is read by this command, and cannot be written by it" in told
    assert (tmp_path / "out" / "boxes.json").read_bytes() == before


@pytest.mark.parametrize("box", [None, [], "abcd", [1, 1, float("inf"), 5], [1, 2, 3]])
def test_instances_with_neither_mask_nor_box(tmp_path, box):
    path = annotated(tmp_path / "a.json", {"category_id": 1, "bbox": box})
    told = refusal("--annotations", path, "--out", tmp_path / "out")
    assert "image 1: an instance has no mask and the box" in told
    assert not (tmp_path / "out").exists()
    path = annotated(tmp_path / "a.json", {"category_id": 1, "bbox": box, "segmentation": SQUARE})
    convert_instances.main(["--annotations", str(path), "--out", str(tmp_path / "out")])
    (entry,) = json.loads((tmp_path / "out" / "boxes.json").read_text())
    assert entry["bbox"] == [2, 2, 5, 5]
