"""What an extraction leaves, however it ended: whole files, or files to go on from."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lib.data import pack
from lib.data.provenance import Provenance
from lib.extraction.array_output import ArrayOutput
from lib.share import ALONE, Share
from scripts import convert_panoptic
from tests.extraction.panoptic import files, refusal, words
from tests.support import ROOT, naive_segmentation

ARRAYS = ("segmentations", "seg_maps", "cat_onehots")


SLOWLY = """
import signal, sys, time
# Ignored where the tests run in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
from lib.extraction.segmentation import PanopticResult
from scripts import convert_panoptic

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


def converted(folder):
    """What a conversion leaves, which is removed again."""
    convert_panoptic.main(words(folder))
    found = files(folder)
    for path in (folder / "data").glob("train_*.[nm]*"):
        path.unlink()
    return found


def test_stopped_between_the_last_steps(result, monkeypatch):
    """One array has its name already when the process ends."""
    folder, _ = result
    whole = converted(folder)
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


def test_killed_before_its_last_shard(result, monkeypatch):
    """Every image has its file."""
    folder, _ = result
    whole = converted(folder)
    finish = ArrayOutput.finish_shard

    def killed(self, numbers):
        if numbers.stop == 24:
            raise KeyboardInterrupt
        finish(self, numbers)

    monkeypatch.setattr(ArrayOutput, "finish_shard", killed)
    assert refusal(folder) == 130
    monkeypatch.undo()
    convert_panoptic.main(words(folder))
    assert files(folder) == whole


def test_a_merge_goes_on_within_a_shard(tmp_path, monkeypatch):
    about = (tmp_path, "train", [*"abcdef"], {"x": ((2,), "float32")})
    output = ArrayOutput(*about, Provenance("e", "w", None, {}))
    for number in range(6):
        output.write(number, {"x": np.full(2, number, np.float32)})
    for shard in (range(3), range(3, 6)):
        output.finish_shard(shard)
    entries = ArrayOutput._entries
    begun = []

    def killed(self, name, first):
        begun.append(first)
        for number, entry in enumerate(entries(self, name, first), first):
            if number == 5 and len(begun) == 1:
                raise KeyboardInterrupt
            yield entry

    monkeypatch.setattr(pack, "SYNC_EVERY", 2)
    monkeypatch.setattr(ArrayOutput, "_entries", killed)
    with pytest.raises(KeyboardInterrupt):
        output.finish()
    again = ArrayOutput(*about, Provenance("e", "w", None, {}))
    again.finish()
    assert begun == [0, 4]  # the second image of the second shard
    assert np.load(tmp_path / "train_x.npy")[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("share", [ALONE, Share(0, 2)])
def test_pictures_of_an_unfinished_shard_stay(tmp_path, share):
    ids, provenance = [str(number) for number in range(6)], Provenance("x", "w", None, {})

    def output():
        return ArrayOutput(tmp_path, "dev", ids, {"a": ((3,), "float32")}, provenance, share=share)

    for number in (0, 2):
        output().write(number, {"a": np.ones(3, np.float32)})
    assert output().pending() == [1, 3, 4, 5]


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


def test_an_array_that_has_gone(result):
    folder, _ = result
    convert_panoptic.main(words(folder))
    (folder / "data" / "train_seg_maps.npy").unlink()
    assert "train_seg_maps.npy: is missing; --overwrite" in refusal(folder)
    convert_panoptic.main(words(folder, "--overwrite"))
    assert (folder / "data" / "train_seg_maps.npy").exists()


def test_files_of_a_version_with_fewer_arrays_are_made_again(tmp_path):
    about = (tmp_path, "train", ["a", "b"])
    one, two = ({name: ((2,), "float32") for name in names} for names in ("x", "xy"))
    provenance = Provenance("e", "w", None, {})
    earlier = ArrayOutput(*about, one, provenance)
    earlier.write(0, {"x": np.zeros(2, np.float32)})
    now = ArrayOutput(*about, two, provenance)
    assert now.pending() == [0, 1]
    for number in (0, 1):
        now.write(number, {name: np.full(2, number, np.float32) for name in "xy"})
    now.finish_shard(range(2))
    now.finish()
    assert np.load(tmp_path / "train_y.npy").tolist() == [[0, 0], [1, 1]]
