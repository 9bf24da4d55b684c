"""From panoptic results to segmentation arrays: numbers, shares, and what happens on the way."""

import json
import shutil

import numpy as np
from PIL import Image

from lib.demo.scenes.canvas import SIZE
from scripts import convert_panoptic
from tests.extraction.panoptic import files, refusal, words
from tests.support import naive_segmentation, succeed

ARRAYS = ("segmentations", "seg_maps", "cat_onehots")


def test_the_scenes_own_arrays_come_back_bit_by_bit(result):
    folder, maps = result
    succeed("python", "scripts/convert_panoptic.py", *words(folder))
    found = {name: np.load(folder / "data" / f"train_{name}.npy") for name in ARRAYS}
    assert found["segmentations"].shape == (24, 133, 7, 7)
    for i, labels in enumerate(maps.values()):
        assert labels.shape == (SIZE, SIZE)
        for name, expected in zip(ARRAYS, naive_segmentation(labels, 64), strict=True):
            dtype = "uint8" if name == "seg_maps" else "float16"
            assert found[name].dtype == dtype
            np.testing.assert_array_equal(found[name][i], expected.astype(dtype))
    manifest = json.loads((folder / "data" / "train_seg_maps.manifest.json").read_text())
    assert manifest["counts"] == {"train": 24}
    assert manifest["settings"] == {"cells": 7, "map_size": 64, "dtype": "float16"}
    assert len(manifest["sha256"]) == 64
    before = files(folder)
    convert_panoptic.main(words(folder))  # nothing to do
    assert files(folder) == before


def test_what_cannot_be_used_is_listed_and_the_rest_is_done(result):
    folder, _ = result
    png = folder / "result" / "png"
    kept = (png / "000000000002.png").read_bytes()
    (png / "000000000002.png").write_bytes(kept[: len(kept) // 2])
    colours = np.asarray(Image.open(png / "000000000004.png")).copy()
    colours[0, 0] = 9
    Image.fromarray(colours).save(png / "000000000004.png")
    (png / "000000000005.png").unlink()
    path = folder / "result" / "panoptic.json"
    content = json.loads(path.read_text())
    del content["annotations"][5]
    content["annotations"][6]["segments_info"][0]["category_id"] = 12  # none of the 133
    path.write_text(json.dumps(content))
    error = refusal(folder)
    assert "5 pictures could not be used" in error
    lines = (folder / "data" / "failed.txt").read_text().splitlines()
    reasons = {line.split("\t")[2]: line.split("\t")[3] for line in lines}
    assert set(reasons) == {"2", "4", "5", "6", "8"}
    assert "cannot be decoded" in reasons["2"]
    assert "are not in its annotation" in reasons["4"]
    assert "no annotation of it" in reasons["6"]
    assert "category_id 12" in reasons["8"]
    assert not (folder / "data" / "train_seg_maps.npy").exists()  # not half of it


def test_bad_results(result):
    folder, _ = result
    path = folder / "result" / "panoptic.json"
    path.write_text('{"annotations": [{"image_id": 3}]}')
    assert "not a result in COCO's panoptic format" in refusal(folder)
    path.write_text("{")
    assert "not a result in COCO's panoptic format" in refusal(folder)
    path.unlink()
    assert "cannot be read" in refusal(folder)
    (folder / "data" / "train_ids.txt").unlink()
    path.write_text('{"annotations": []}')
    assert "holds no <split>_ids.txt" in refusal(folder)


def test_a_result_without_its_pictures(result):
    folder, _ = result
    shutil.rmtree(folder / "result" / "png")
    assert "no such folder of panoptic PNGs" in refusal(folder)
