"""Extraction by several processes: one of four is killed, and the bytes are those of one alone."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from lib.data.checksums import read_sums
from lib.data.provenance import Provenance
from lib.data.segmentation import CATEGORIES
from lib.errors import InputError
from lib.extraction.array_output import ArrayOutput
from lib.extraction.categories import NAMES, upsnet_number
from lib.extraction.file_output import FileOutput
from lib.extraction.panoptic_model import small_model
from lib.extraction.regions import Detector
from lib.extraction.runner import Job
from lib.share import SLURM, TORCHRUN, Share
from scripts import (
    convert_panoptic,
    detect_objects,
    extract_grid,
    extract_regions,
    extract_segmentation,
)
from tests.extraction.panoptic import files, words
from tests.support import ROOT

# Batches of 2, so that 24 pictures are twelve shards; the process of rank 2 stops in its second.
FOURTH = """
import os, sys, time
from lib.extraction import runner
from lib.extraction.segmentation import PanopticResult
from scripts import convert_panoptic

runner.Job.batch_size = 2
labels, seen = PanopticResult.labels, []

def slowly(self, image_id):
    seen.append(image_id)
    if os.environ["RANK"] == sys.argv[1] and len(seen) == 4:
        time.sleep(300)
    return labels(self, image_id)

PanopticResult.labels = slowly
convert_panoptic.main(sys.argv[2:])
"""


def environment(rank, world_size):
    values = zip(TORCHRUN, (rank, world_size, rank, world_size), strict=True)
    return os.environ | {name: str(value) for name, value in values}


def as_process(monkeypatch, rank, world_size, names=TORCHRUN):
    for name, value in zip(names, (rank, world_size, rank, world_size), strict=True):
        monkeypatch.setenv(name, str(value))


def everything(folder):
    """Path -> content of all files below a folder."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


class Corners(torch.nn.Module):
    """A detector that finds two boxes in every picture."""

    def forward(self, pictures):
        boxes = torch.tensor([[1.0, 2, 30, 40], [10, 10, 30, 50]])
        about = {"scores": torch.tensor([0.4, 0.9]), "labels": torch.tensor([1, 18])}
        return [{"boxes": boxes, **about} for _ in pictures]


@pytest.fixture
def pair(result, tmp_path, monkeypatch):
    """The same panoptic result twice: one is converted alone."""
    monkeypatch.setattr(Job, "batch_size", 2)
    folder, _ = result
    whole = tmp_path / "whole"
    for part in ("result", "data"):
        shutil.copytree(folder / part, whole / part)
    convert_panoptic.main(words(whole))
    return folder, whole


def test_one_of_four_is_killed(pair, monkeypatch):
    folder, whole = pair
    running = [
        subprocess.Popen(
            [sys.executable, "-c", FOURTH, "2", *words(folder)], cwd=ROOT,
            env=environment(rank, 4), stdout=subprocess.PIPE, text=True,
        )
        for rank in range(4)
    ]  # fmt: skip
    printed = {rank: running[rank].communicate(timeout=120)[0] for rank in (0, 1, 3)}
    assert all(running[rank].returncode == 0 for rank in printed)
    assert printed[3].startswith("process 4 of 4: ")
    assert printed[3].rstrip().endswith("not complete yet")
    work = folder / "data" / ".train_segmentations.extracting"
    while len(list((work / "shards").glob("*.npz"))) < 10:  # three each, and its first
        assert running[2].poll() is None
        time.sleep(0.05)
    running[2].send_signal(signal.SIGKILL)
    running[2].communicate()
    assert len(list((work / "shards").glob("*.npz"))) == 10
    # The same again, by three processes instead of four, one after the other.
    for rank in (2, 0, 1):
        as_process(monkeypatch, rank, 3)
        convert_panoptic.main(words(folder))
    assert files(folder) == files(whole)


@pytest.mark.parametrize("names", [TORCHRUN, SLURM], ids=["torchrun", "slurm"])
def test_whoever_finishes_last_merges(pair, monkeypatch, capsys, names):
    folder, whole = pair
    for rank in (3, 0, 2, 1):
        as_process(monkeypatch, rank, 4, names)
        convert_panoptic.main(words(folder))
        told = capsys.readouterr().out
        assert told.startswith(f"process {rank + 1} of 4: ")
        assert ("24 images" in told) == (rank == 1)
    convert_panoptic.main(words(folder))  # all is there
    assert files(folder) == files(whole)


SMALL = ["--backbone", "timm:test_resnet", "--weights", "random", "--size", "64"]


@pytest.mark.parametrize("name", ["grid", "regions", "segmentation", "detections"])
def test_every_extractor_is_shared(name, world, tmp_path, monkeypatch, capsys):
    """By two processes, the second first: the same bytes as alone."""
    pictures = world / "scenes_precomp" / "images"
    ids = sorted(path.stem for path in pictures.iterdir())[:5]
    monkeypatch.setattr(detect_objects, "load_detector", lambda _: Detector(Corners(), "x", None))
    boxes = str(tmp_path / "boxes" / "detections.json")
    commands = {
        "grid": (extract_grid, SMALL),
        "regions": (extract_regions, [*SMALL, "--boxes", boxes, "--regions", "2"]),
        "segmentation": (extract_segmentation, ["--model", str(tmp_path / "model")]),
        "detections": (detect_objects, []),
    }

    def extract(name, folder):
        command, flags = commands[name]
        folder.mkdir(exist_ok=True)
        (folder / "train_ids.txt").write_text("\n".join(ids))
        words = ["--images", str(pictures), "--data", str(folder), "--device", "cpu"]
        command.main([*words, "--workers", "0", "--batch_size", "1", *flags])
        return capsys.readouterr().out

    if name == "segmentation":
        for part in small_model([NAMES[upsnet_number(i)] for i in range(CATEGORIES)]):
            part.save_pretrained(tmp_path / "model")
    if name == "regions":
        extract("detections", tmp_path / "boxes")
    extract(name, tmp_path / "alone")
    for rank in (1, 0):
        as_process(monkeypatch, rank, 2)
        assert extract(name, tmp_path / "shared").startswith(f"process {rank + 1} of 2: ")
    one, other = (everything(tmp_path / folder) for folder in ("alone", "shared"))
    assert len(one) > 2
    assert one == other


def test_each_process_lists_what_failed_of_its_own(pair, monkeypatch, capsys):
    folder, whole = pair
    png = folder / "result" / "png"
    for number in (1, 2, 3, 4):  # of the first two shards
        (png / f"{number:012}.png").rename(png / f"{number}.away")
    for rank in (0, 1):
        as_process(monkeypatch, rank, 2)
        convert_panoptic.main(words(folder))
        told = f"note: process {rank + 1} of 2: 2 pictures could not be used"
        assert told in capsys.readouterr().err
    failed = folder / "data" / "failed.txt"
    assert len(failed.read_text().splitlines()) == 4
    for number in (1, 2, 3, 4):
        (png / f"{number}.away").rename(png / f"{number:012}.png")
    convert_panoptic.main(words(folder))  # the second process's own
    assert len(failed.read_text().splitlines()) == 2
    monkeypatch.setenv("RANK", "0")
    convert_panoptic.main(words(folder))
    assert files(folder) == files(whole)


def test_a_damaged_shard_is_removed_and_made_again(tmp_path):
    ids, shapes = [*"abcd"], {"x": ((2,), "float32")}

    def output():
        return ArrayOutput(tmp_path, "train", ids, shapes, Provenance("e", "w", None, {}))

    def fill(numbers):
        found = output()
        for number in numbers:
            found.write(number, {"x": np.full(2, number, np.float32)})
        found.finish_shard(numbers)
        return found

    fill(range(2))
    last = fill(range(2, 4))
    shard = last.folder / "shards" / "00000002-00000003.npz"
    content = shard.read_bytes()
    place = content.index(np.float32(3).tobytes())
    shard.write_bytes(content[:place] + b"\1" + content[place + 1 :])
    with pytest.raises(InputError, match=r"was damaged .* makes these 2 images anew"):
        output().finish()
    assert not (tmp_path / "train_x.npy").exists()
    assert output().pending() == [2, 3]
    fill(range(2, 4)).finish()
    assert np.load(tmp_path / "train_x.npy").tolist() == [[0, 0], [1, 1], [2, 2], [3, 3]]


def test_a_shard_whose_images_have_failed_stays_open(tmp_path):
    shapes = {"x": ((2,), "float32")}
    found = ArrayOutput(tmp_path, "train", ["a", "b"], shapes, Provenance("e", "w", None, {}))
    found.write(0, {"x": np.zeros(2, np.float32)})
    found.finish_shard(range(2))
    found.finish()
    assert not found.whole
    assert found.pending() == [1]


def test_files_have_their_checksums_in_one_file_at_the_end(tmp_path):
    """Each process writes its own meanwhile; a killed one's are not lost."""
    provenance, ids = Provenance("e", "w", None, {}), [*"abcd"]
    one, other = (
        FileOutput(tmp_path / "grids", "dev", ids, provenance, Share(rank, 2)) for rank in (0, 1)
    )
    for output, number in ((one, 0), (other, 2), (one, 1)):
        output.write(number, {"x": np.full(3, number)})
    hidden = {path.name for path in (tmp_path / "grids").iterdir() if path.name.startswith(".")}
    assert hidden == {".dev-0-of-2.sha256", ".dev-1-of-2.sha256"}
    one.finish()
    assert "2 of 4" not in one.describe()  # the other's third is counted too
    assert "3 of 4 images of dev" in one.describe()
    assert not one.whole
    # The other is killed; three processes take over.
    again = FileOutput(tmp_path / "grids", "dev", ids, provenance, Share(2, 3))
    assert again.pending() == [3]
    again.write(3, {"x": np.full(3, 3)})
    again.finish()
    assert again.whole
    hidden = {path.name for path in (tmp_path / "grids").iterdir() if path.name.startswith(".")}
    assert hidden == set()
    assert list(read_sums(tmp_path / "grids" / "dev.sha256")) == [f"{name}.npy" for name in ids]


def test_a_split_that_others_have_merged_meanwhile(tmp_path):
    """Opened by both processes before either had begun."""
    about = (tmp_path, "dev", ["a"], {"x": ((2,), "float32")}, Provenance("e", "w", None, {}))
    one, other = (ArrayOutput(*about, share=Share(rank, 2)) for rank in (0, 1))
    one.write(0, {"x": np.zeros(2, np.float32)})
    one.finish_shard(range(1))
    one.finish()
    assert one.whole
    assert other.pending() == []
    other.finish()
    assert other.whole


def test_several_processes_do_not_overwrite(tmp_path):
    about = (tmp_path, "train", ["a"], {"x": ((2,), "float32")}, Provenance("e", "w", None, {}))
    with pytest.raises(InputError, match="--overwrite is for one process"):
        ArrayOutput(*about, overwrite=True, share=Share(0, 2))
