"""Packed features: the same batches, whatever happens while they are packed."""

import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from lib.config import load_config
from lib.data.captions import load_tokenizer, tokenise
from lib.data.dataset import TrainingPairs, epoch_batches, training_loader
from lib.data.features import open_split
from lib.data.folder import FeatureFolder
from lib.data.pack import ENTRY, Pack, Packer
from scripts import pack_features
from tests.support import ROOT, succeed

CONFIG = "configs/scenes_grid.yaml"


@pytest.fixture
def data(world, tmp_path):
    """A copy of the tiny world that may be written to."""
    shutil.copytree(world / "scenes_precomp", tmp_path / "data" / "scenes_precomp")
    return tmp_path / "data"


@pytest.fixture
def overrides(settings, data):
    return [*settings, f"data.root={data}"]


def words(overrides, *flags):
    return ["--config", CONFIG, "--workers", "0", *flags, *overrides]


def pack(overrides, *flags):
    """The script in this process, where starting Python and torch anew would show nothing."""
    pack_features.main(words(overrides, *flags))


def refusal(overrides, *flags):
    with pytest.raises(SystemExit) as left:
        pack(overrides, *flags)
    return left.value.code


def batches(overrides, *more):
    config = load_config(ROOT / CONFIG, [*overrides, *more])
    split = open_split(config, "train")

    class Sizes:
        vocab_size, max_position_embeddings = 1000, 64

    captions = tokenise(split.captions, load_tokenizer(config.model.bert), Sizes)
    pairs = TrainingPairs(split, captions, config)
    order = epoch_batches(len(captions), 16, 0, 0)
    return [
        (images.features, images.lengths, texts.ids)
        for images, texts in training_loader(pairs, 0, order, 0, pin=False)
    ]


def equal(one, other):
    assert len(one) == len(other) > 0
    return all(
        torch.equal(a, b)
        for first, second in zip(one, other, strict=True)
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("side", ["3", "null"])
def test_a_pack_gives_the_same_batches(overrides, data, side):
    overrides = [*overrides, f"features.grid_size={side}"]
    script = ("python", "scripts/pack_features.py", *words(overrides, "--workers", "2"))
    assert succeed(*script).count("verified") == 3
    packed = np.load(data / "scenes_precomp" / "grids_packed" / "train.npy", mmap_mode="r")
    # Cells as they were stay float16; averages of them are not.
    assert packed.dtype == (np.float16 if side == "null" else np.float32)
    assert packed.shape == (24 * (49 if side == "null" else 9), 32)
    assert equal(batches(overrides), batches(overrides, "features.folder=grids_packed"))
    assert not list((data / "scenes_precomp" / "grids_packed").glob(".*"))


def test_maps_of_different_sizes_are_packed(overrides, data):
    folder = data / "scenes_precomp" / "grids"
    for i, path in enumerate(sorted(folder.iterdir())):
        np.save(path, np.load(path)[: 3 + i % 5, : 2 + i % 3])
    overrides = [*overrides, "features.grid_size=null"]
    pack(overrides, "--splits", "train")
    assert equal(batches(overrides), batches(overrides, "features.folder=grids_packed"))


KILLED = """
import signal, sys, time
# Ignored where the tests run in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, "scripts")
import pack_features
from lib.data import dataset, pack
from lib.data.folder import FeatureFolder

pack.SYNC_EVERY = 4
read = FeatureFolder.__getitem__

def slowly(self, image):
    time.sleep(0.05)
    return read(self, image)

FeatureFolder.__getitem__ = slowly
pack_features.main()
"""


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_packing_goes_on(overrides, data, signum, capsys, monkeypatch):
    folder = data / "scenes_precomp" / "grids_packed"
    command = [sys.executable, "-c", KILLED, *words(overrides, "--splits", "train")]
    process = subprocess.Popen(command, cwd=ROOT, text=True)
    journal = folder / ".train.packing.journal"
    while not (journal.exists() and journal.stat().st_size >= 8 * ENTRY.itemsize):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signum)
    process.wait()
    assert not Pack.is_at(folder, "train")
    done = journal.stat().st_size // ENTRY.itemsize
    assert 8 <= done < 24
    looked_at = []
    monkeypatch.setattr(FeatureFolder, "__getitem__", remembering(looked_at))
    pack(overrides, "--splits", "train")
    assert "verified" in capsys.readouterr().out
    assert looked_at == list(range(done, 24))
    monkeypatch.undo()
    assert equal(batches(overrides), batches(overrides, "features.folder=grids_packed"))


def remembering(numbers):
    read = FeatureFolder.__getitem__
    return lambda folder, image: numbers.append(image) or read(folder, image)


def test_files_that_changed_are_packed_again(overrides, data, capsys):
    folder, grids = data / "scenes_precomp" / "grids_packed", data / "scenes_precomp" / "grids"
    train = (overrides, "--splits", "train")
    kept = (grids / "000020.npy").read_bytes()
    (grids / "000020.npy").write_bytes(b"broken")
    assert "000020.npy: cannot be read" in refusal(*train)
    assert not Pack.is_at(folder, "train")
    (grids / "000020.npy").write_bytes(kept)
    np.save(grids / "000005.npy", np.ones((7, 7, 32), np.float16))  # extracted anew meanwhile
    pack(*train)
    assert equal(batches(overrides), batches(overrides, "features.folder=grids_packed"))
    np.save(grids / "000009.npy", np.ones((7, 7, 32), np.float16))
    assert "000009.npy: changed after it was packed" in refusal(*train)
    pack(*train, "--overwrite")
    assert equal(batches(overrides), batches(overrides, "features.folder=grids_packed"))


def test_packing_needs_no_segmentation_and_minds_a_slash(overrides, data):
    for path in (data / "scenes_precomp").glob("*_segmentations.npy"):
        path.unlink()
    pack(overrides, "--splits", "dev", "features.folder=grids/")
    assert Pack.is_at(data / "scenes_precomp" / "grids_packed", "dev")
    for path in (data / "scenes_precomp").glob("*_caps.txt"):
        path.unlink()
    assert "no split to pack" in refusal(overrides)


def test_a_torn_end_is_packed_again(overrides, data):
    """Power went: the journal speaks of rows that never reached the disk."""
    folder = data / "scenes_precomp" / "grids_packed"
    pack(overrides, "--splits", "train")
    with np.load(folder / "train.npz") as index:
        entries = index["entries"]
    config = load_config(ROOT / CONFIG, overrides)
    split = open_split(config, "train")
    rows = (folder / "train.npy").read_bytes()
    shutil.rmtree(folder)
    stamp = split.features.stamp
    packer = Packer(folder, "train", split.image_ids, 32, config.features, "float32", False, stamp)
    with pytest.raises(ZeroDivisionError):
        packer.write(1 / 0 for _ in range(1))
    (folder / ".train.packing.journal").write_bytes(entries.tobytes()[:-5])
    (folder / ".train.packing.npy").write_bytes(rows[: len(rows) // 2])
    packer = Packer(folder, "train", split.image_ids, 32, config.features, "float32", False, stamp)
    assert packer.done == 11  # of 24, half of the rows behind the header
    pack(overrides, "--splits", "train")
    assert (folder / "train.npy").read_bytes() == rows


def test_damage_is_found_and_mended(overrides, data):
    folder = data / "scenes_precomp" / "grids_packed"
    dev = (overrides, "--splits", "dev")
    pack(*dev)
    whole = (folder / "dev.npy").read_bytes()
    (folder / "dev.npy").write_bytes(whole[:-3] + b"\0\1\2")
    assert "image 000032 is not as packed" in refusal(*dev)
    pack(*dev, "--overwrite")
    assert (folder / "dev.npy").read_bytes() == whole
    (folder / "dev.npy").write_bytes(whole[:-3])
    assert "cut short" in refusal(*dev)
    (folder / "dev.npz").write_bytes(b"PK nonsense")
    assert "is no pack's index" in refusal(*dev)


def test_other_settings_are_refused(overrides, data):
    folder = data / "scenes_precomp" / "grids_packed"
    pack(overrides, "--splits", "dev")
    again = (overrides, "--splits", "dev", "--out", "grids_packed")
    assert "features.grid_size 5, asked for is 3" in refusal(*again, "features.grid_size=3")
    ids = data / "scenes_precomp" / "dev_ids.txt"
    lines = ids.read_text().split()
    ids.write_text("\n".join([lines[1], lines[0], *lines[2:]]))
    assert "their order does" in refusal(*again)
    ids.write_text("\n".join(lines))
    packed = (overrides, "--splits", "dev", "features.folder=grids_packed")
    assert "no folder of one file per image" in refusal(*packed)
    assert "choose another --out" in refusal(overrides, "--out", "grids")
    assert (folder / "dev.npz").exists()


def test_float16_rounds_only_when_asked(overrides, data):
    path = data / "scenes_precomp" / "grids" / "000027.npy"
    odd = np.load(path).astype(np.float32)
    odd[0, 0, 0] = 1 / 3
    np.save(path, odd)
    whole = [*overrides, "features.grid_size=null"]
    assert "is not float16; pack with --dtype float32" in refusal(whole, "--splits", "dev")
    pack(whole, "--splits", "dev", "--dtype", "float32", "--out", "exact")
    odd[0, 0, 0] = 1e6
    np.save(path, odd)
    half = (overrides, "--splits", "dev", "--dtype", "float16", "--out", "half")
    assert "overflows float16" in refusal(*half)
    odd[0, 0, 0] = 1
    np.save(path, odd)
    pack(*half)
    loose = open_split(load_config(ROOT / CONFIG, overrides), "dev").features
    packed = open_split(load_config(ROOT / CONFIG, [*overrides, "features.folder=half"]), "dev")
    np.testing.assert_allclose(packed.features[2], loose[2], rtol=1e-3)
