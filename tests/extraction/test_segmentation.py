"""From panoptic results to segmentation arrays: numbers, shares, and what happens on the way."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.data.segmentation import VOID, arrays_of
from lib.demo.scenes.canvas import SIZE
from lib.demo.scenes.world import World, render, sample_scenes
from lib.extraction import categories
from lib.extraction.categories import COCO_IDS, NAMES, NUMBER_OF_COCO_ID, upsnet_labels
from scripts import convert_panoptic
from tests.support import GOLDEN, ROOT, naive_segmentation, succeed

COCO = json.loads((GOLDEN / "panoptic_coco_categories.json").read_text())
ARRAYS = ("segmentations", "seg_maps", "cat_onehots")


def test_every_category_has_upsnets_number():
    things = [c for c in COCO if c["isthing"]]
    stuff = [c for c in COCO if not c["isthing"]]
    assert [*things, *stuff] == COCO  # things first, as every model of the hub has them
    assert tuple(c["id"] for c in COCO) == COCO_IDS
    for position, category in enumerate(COCO):
        number = NUMBER_OF_COCO_ID[category["id"]]
        assert NAMES[number] == category["name"]
        expected = 53 + things.index(category) if category["isthing"] else stuff.index(category)
        assert number == categories.upsnet_number(position) == expected
    assert sorted(NUMBER_OF_COCO_ID.values()) == list(range(133))


def test_positions_of_a_models_output_become_numbers():
    labels = upsnet_labels(np.array([[0, 79, 80], [132, -1, 255]]))
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[53, 132, 0], [52, VOID, VOID]]


def test_shares_of_uneven_cells_are_adaptive_averages():
    labels = np.random.default_rng(0).choice([3, 60, VOID], (50, 37)).astype(np.uint8)
    arrays = arrays_of(labels)
    for row in range(7):
        for column in range(7):
            rows = slice(row * 50 // 7, -(-(row + 1) * 50 // 7))
            columns = slice(column * 37 // 7, -(-(column + 1) * 37 // 7))
            for number in (3, 60):
                share = (labels[rows, columns] == number).mean()
                assert arrays["segmentations"][number, row, column] == pytest.approx(share)
    assert arrays["segmentations"].sum(axis=(1, 2)).nonzero()[0].tolist() == [3, 60]
    assert arrays["cat_onehots"].nonzero()[0].tolist() == [3, 60]
    assert set(np.unique(arrays["seg_maps"])) == {3, 60, VOID}


def test_a_picture_of_nothing():
    arrays = arrays_of(np.full((9, 9), VOID, np.uint8))
    assert arrays["segmentations"].sum() == arrays["cat_onehots"].sum() == 0
    assert (arrays["seg_maps"] == VOID).all()


def write_panoptic(folder, label_maps):
    """COCO's panoptic format, a segment per category, with ids that need all three channels."""
    coco_id = {number: coco for coco, number in NUMBER_OF_COCO_ID.items()}
    (folder / "png").mkdir(parents=True)
    annotations = []
    for image_id, labels in label_maps.items():
        colours = np.zeros((*labels.shape, 3), np.uint8)
        segments = []
        for number in np.unique(labels[labels != VOID]).tolist():
            identity = 70_001 * (len(segments) + 1)
            channels = (identity % 256, identity // 256 % 256, identity // 65536)
            colours[labels == number] = channels
            segments.append({"id": identity, "category_id": coco_id[number], "area": 1})
        Image.fromarray(colours).save(folder / "png" / f"{image_id}.png")
        name = {"image_id": int(image_id), "file_name": f"{image_id}.png"}
        annotations.append({**name, "segments_info": segments})
    (folder / "panoptic.json").write_text(json.dumps({"annotations": annotations}))


@pytest.fixture
def result(tmp_path):
    """Exact maps of 24 scenes as a panoptic result, and a folder with their ids."""
    scenes = sample_scenes(World(), "train", 24)
    maps = {}
    for i, scene in enumerate(scenes):
        maps[f"{i + 1:012d}"] = render(scene, "a", np.random.default_rng(i))[1]
    maps["000000000003"][:40] = VOID
    write_panoptic(tmp_path / "result", maps)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train_ids.txt").write_text("".join(f"{int(i)}\n" * 5 for i in maps))
    return tmp_path, maps


def words(folder, *flags):
    return [
        "--json", str(folder / "result" / "panoptic.json"), "--png", str(folder / "result" / "png"),
        "--data", str(folder / "data"), "--workers", "0", *flags,
    ]  # fmt: skip


def refusal(folder, *flags):
    with pytest.raises(SystemExit) as left:
        convert_panoptic.main(words(folder, *flags))
    return left.value.code


def files(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "data").iterdir())}


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


SLOWLY = """
import signal, sys, time
# Ignored where the tests run in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
from lib.extraction import outputs
from lib.extraction.segmentation import PanopticResult
from scripts import convert_panoptic

outputs.SYNC_EVERY = 3
labels = PanopticResult.labels

def slowly(self, image_id):
    time.sleep(0.03)
    return labels(self, image_id)

PanopticResult.labels = slowly
convert_panoptic.main(sys.argv[1:])
"""


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_resumed_gives_the_same_files(result, signum, tmp_path):
    folder, _ = result
    whole = tmp_path / "whole"
    shutil.copytree(folder / "result", whole / "result")
    shutil.copytree(folder / "data", whole / "data")
    convert_panoptic.main(words(whole))
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, *words(folder)], cwd=ROOT)
    work = folder / "data" / ".train_segmentations.extracting"
    while len(list(work.glob("*.npz"))) < 5:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signum)
    process.wait()
    assert len(list(work.glob("*.npz"))) < 24
    assert not any((folder / "data" / f"train_{name}.npy").exists() for name in ARRAYS)
    convert_panoptic.main(words(folder))
    assert files(folder) == files(whole)


def test_stopped_between_the_last_steps(result, monkeypatch):
    """One array has its name already when the process ends."""
    folder, _ = result
    convert_panoptic.main(words(folder))
    whole = files(folder)
    for path in (folder / "data").glob("train_*.[nm]*"):
        path.unlink()
    rename = Path.replace

    def once(self, target):
        if str(target).endswith("train_seg_maps.npy"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", once)
    assert refusal(folder) == 130
    monkeypatch.undo()
    assert (folder / "data" / "train_segmentations.npy").exists()
    convert_panoptic.main(words(folder))
    assert files(folder) == whole


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


def test_mended_pictures_complete_the_arrays(result):
    folder, maps = result
    png = folder / "result" / "png"
    (png / "000000000002.png").rename(png / "away.png")
    assert "1 pictures" in refusal(folder)
    (png / "away.png").rename(png / "000000000002.png")
    convert_panoptic.main(words(folder))
    assert not (folder / "data" / "failed.txt").exists()
    maps_found = np.load(folder / "data" / "train_seg_maps.npy")
    np.testing.assert_array_equal(maps_found[1], naive_segmentation(maps["000000000002"], 64)[1])


def test_arrays_made_with_other_settings_are_not_replaced_unasked(result):
    folder, _ = result
    convert_panoptic.main(words(folder))
    assert "map_size" in refusal(folder, "--map_size", "32")
    convert_panoptic.main(words(folder, "--map_size", "32", "--overwrite"))
    assert np.load(folder / "data" / "train_seg_maps.npy").shape == (24, 32, 32)
    (folder / "data" / "train_seg_maps.manifest.json").unlink()
    assert "exists without a manifest" in refusal(folder, "--map_size", "32")


def test_arrays_of_other_images_are_no_arrays_of_these(result):
    folder, maps = result
    convert_panoptic.main(words(folder))
    before = files(folder)
    path = folder / "data" / "train_ids.txt"
    ids = [str(int(i)) for i in maps]
    for others, told in ((ids[::-1], "24 images there, 24 now"), (ids[:5], "24 images there, 5")):
        path.write_text("\n".join(others))
        error = refusal(folder)
        assert "train_ids.txt names other images or another order" in error
        assert told in error
        assert "--overwrite replaces them" in error
    assert before == files(folder) | {path.name: before[path.name]}
    convert_panoptic.main(words(folder, "--overwrite"))
    assert len(np.load(folder / "data" / "train_seg_maps.npy")) == 5


def test_an_unfinished_extraction_of_other_images(result):
    folder, maps = result
    path = folder / "data" / "train_ids.txt"
    path.write_text("1\n2\n999\n")  # the last is nowhere
    assert "1 pictures could not be used" in refusal(folder)
    path.write_text("2\n1\n3\n")
    assert "names other images or another order" in refusal(folder)
    convert_panoptic.main(words(folder, "--overwrite"))
    found = np.load(folder / "data" / "train_seg_maps.npy")
    for i, image_id in enumerate((2, 1, 3)):
        expected = naive_segmentation(maps[f"{image_id:012d}"], 64)[1]
        np.testing.assert_array_equal(found[i], expected)


def test_a_run_over_one_split_keeps_the_failures_of_others(result):
    folder, _ = result
    (folder / "data" / "dev_ids.txt").write_text("1\n")
    (folder / "data" / "train_ids.txt").write_text("999\n")
    assert "1 pictures" in refusal(folder)
    convert_panoptic.main(words(folder, "--splits", "dev"))
    assert "panoptic\ttrain\t999" in (folder / "data" / "failed.txt").read_text()


def test_ids_that_are_none(result):
    folder, _ = result
    path = folder / "data" / "train_ids.txt"
    for text, message in (
        ("1\n../2\n", "'../2' cannot be a file name"),
        ("1\n2\n1\n", "1 occurs twice"),
        ("\n", "holds no id"),
    ):
        path.write_text(text)
        assert message in refusal(folder)


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
