"""scripts/pack_features.py: the same batches, whatever happens while features are packed."""

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from lib.config import load_config
from lib.data.captions import tokenise
from lib.data.dataset import TrainingPairs, epoch_batches, training_loader
from lib.data.feature_files import FeatureFiles
from lib.data.pack import is_pack
from lib.data.split import open_split
from lib.errors import InputError
from scripts import pack_features
from tests.support import ROOT, run, succeed, tokenizer_of

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

    captions = tokenise(split.captions, tokenizer_of(config))
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
    printed = succeed("python", "scripts/pack_features.py", *words(overrides, "--workers", "2"))
    assert printed.count("from grids") == 3
    packed = np.load(data / "scenes_precomp" / "grids_packed" / "train.npy", mmap_mode="r")
    # Cells as they were stay float16; averages of them are not.
    assert packed.dtype == (np.float16 if side == "null" else np.float32)
    assert packed.shape == (24, 49 if side == "null" else 9, 32)
    assert equal(batches(overrides), batches(overrides, "features.folder=grids_packed"))
    assert not list((data / "scenes_precomp" / "grids_packed").glob(".*"))


def test_maps_of_different_sizes_need_pooling(overrides, data):
    folder = data / "scenes_precomp" / "grids"
    for i, path in enumerate(sorted(folder.iterdir())):
        np.save(path, np.load(path)[: 3 + i % 5, : 2 + i % 3])
    whole = [*overrides, "features.grid_size=null"]
    assert "only images with equally many rows can be packed" in refusal(whole)
    assert not is_pack(data / "scenes_precomp" / "grids_packed" / "train.npy")
    pack(overrides, "--splits", "train")
    assert equal(batches(overrides), batches(overrides, "features.folder=grids_packed"))


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_packing_continues(overrides, data, signum, monkeypatch):
    folder = data / "scenes_precomp" / "grids_packed"
    done = run("python", "-c", KILLED, int(signum), *words(overrides, "--splits", "train"))
    assert done.returncode == (130 if signum == signal.SIGINT else -signum), done.stderr
    assert not is_pack(folder / "train.npy")
    done = json.loads((folder / ".train.packing.json").read_text())["done"]
    assert done == 8
    looked_at = []
    read = FeatureFiles.__getitem__
    monkeypatch.setattr(
        FeatureFiles, "__getitem__", lambda f, image: looked_at.append(image) or read(f, image)
    )
    pack(overrides, "--splits", "train")
    assert looked_at == [0, *range(done, 24)]  # the first one tells the shape
    monkeypatch.undo()
    assert equal(batches(overrides), batches(overrides, "features.folder=grids_packed"))
    assert not list(folder.glob(".*"))


def test_a_pack_is_kept_until_a_new_one_is_whole(overrides, data):
    train = (overrides, "--splits", "train", "--overwrite")
    folder = data / "scenes_precomp"
    pack(*train)
    kept = {path.name: path.read_bytes() for path in (folder / "grids_packed").iterdir()}
    (folder / "grids").rename(folder / "elsewhere")
    assert "no such folder of features" in refusal(*train)
    (folder / "elsewhere").rename(folder / "grids")
    (folder / "grids" / "000020.npy").write_bytes(b"broken")
    assert "000020.npy: is not a readable .npy file" in refusal(*train)
    for name, content in kept.items():
        assert (folder / "grids_packed" / name).read_bytes() == content
    (folder / "grids" / "train.json").write_text("mine")
    assert "choose another --out" in refusal(*train, "--out", "grids")
    assert (folder / "grids" / "train.json").read_text() == "mine"


def test_an_array_without_its_sidecar_is_no_pack(overrides, data):
    pack(overrides, "--splits", "train")
    (data / "scenes_precomp" / "grids_packed" / "train.json").unlink()
    with pytest.raises(InputError, match=r"has no train\.json beside it.*pack again"):
        batches(overrides, "features.folder=grids_packed")


def test_files_that_changed_are_packed_again_when_asked(overrides, data):
    folder, grids = data / "scenes_precomp" / "grids_packed", data / "scenes_precomp" / "grids"
    train = (overrides, "--splits", "train")
    kept = (grids / "000020.npy").read_bytes()
    (grids / "000020.npy").write_bytes(b"broken")
    assert "000020.npy: is not a readable .npy file" in refusal(*train)
    assert not is_pack(folder / "train.npy")
    (grids / "000020.npy").write_bytes(kept)
    pack(*train)
    np.save(grids / "000009.npy", np.ones((7, 7, 32), np.float16))
    assert "was packed from another source: files_sha256" in refusal(*train)
    pack(*train, "--overwrite")
    assert equal(batches(overrides), batches(overrides, "features.folder=grids_packed"))


def test_packing_needs_no_segmentation_and_accepts_a_slash(overrides, data):
    for path in (data / "scenes_precomp").glob("*_segmentations.npy"):
        path.unlink()
    pack(overrides, "--splits", "dev", "features.folder=grids/")
    assert is_pack(data / "scenes_precomp" / "grids_packed" / "dev.npy")
    for path in (data / "scenes_precomp").glob("*_caps.txt"):
        path.unlink()
    assert "holds no <split>_caps.txt" in refusal(overrides)


def test_a_damaged_pack_is_refused(overrides, data):
    folder = data / "scenes_precomp" / "grids_packed"
    pack(overrides, "--splits", "dev")
    packed = [*overrides, "features.folder=grids_packed"]
    whole = (folder / "dev.npy").read_bytes()
    (folder / "dev.npy").write_bytes(whole[:-3])
    with pytest.raises(InputError, match="cut short"):
        open_split(load_config(ROOT / CONFIG, packed), "dev")
    (folder / "dev.npy").write_bytes(whole)
    (folder / "dev.json").write_text("nonsense")
    with pytest.raises(InputError, match="is not a pack's sidecar"):
        open_split(load_config(ROOT / CONFIG, packed), "dev")


def test_a_pack_of_another_source_is_refused(overrides, data):
    pack(overrides, "--splits", "dev")
    packed = [*overrides, "features.folder=grids_packed"]
    with pytest.raises(InputError, match="another source: grid_size 5 there, 3 now; pack again"):
        open_split(load_config(ROOT / CONFIG, [*packed, "features.grid_size=3"]), "dev")
    assert "grid_size 5 there, 3 now" in refusal(overrides, "features.grid_size=3")
    ids = data / "scenes_precomp" / "dev_ids.txt"
    lines = ids.read_text().split()
    ids.write_text("\n".join([lines[1], lines[0], *lines[2:]]))
    with pytest.raises(InputError, match="another source: ids_sha256"):
        open_split(load_config(ROOT / CONFIG, packed), "dev")
    ids.write_text("\n".join(lines))
    folder = (overrides, "--splits", "dev", "features.folder=grids_packed")
    assert "is not a folder of one file per image" in refusal(*folder)
    assert "choose another --out" in refusal(overrides, "--out", "grids")


def test_float16_rounds_only_when_asked(overrides, data):
    path = data / "scenes_precomp" / "grids" / "000027.npy"
    odd = np.load(path).astype(np.float32)
    odd[0, 0, 0] = 1 / 3
    np.save(path, odd)
    whole = [*overrides, "features.grid_size=null"]
    assert "is not exact in float16; pack with --dtype float32" in refusal(whole, "--splits", "dev")
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


def test_somebody_s_array_is_no_pack_to_replace(overrides, data):
    folder = data / "scenes_precomp" / "packed"
    folder.mkdir()
    np.save(folder / "dev.npy", np.zeros(3))
    for flags in ((), ("--overwrite",)):
        error = refusal([*overrides, "features.folder=grids"], "--out", "packed", "--splits", "dev",
                        *flags)  # fmt: skip
        assert "dev.npy: is there and is no pack of this command" in error
    assert np.load(folder / "dev.npy").shape == (3,)


def test_a_packing_that_is_stopped_before_its_sidecar_is_finished_again(
    overrides, data, monkeypatch
):
    words = [*overrides, "features.folder=grids"]
    pack(words, "--out", "packed", "--splits", "dev")
    folder = data / "scenes_precomp" / "packed"
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    replace = Path.replace

    def once(self, target):
        if str(target).endswith("dev.json"):
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", once)
    assert refusal(words, "--out", "packed", "--splits", "dev") == 130
    monkeypatch.undo()
    assert (folder / "dev.npy").exists()
    assert not (folder / "dev.json").exists()
    pack(words, "--out", "packed", "--splits", "dev")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


KILLED = """
import os, signal, sys
# Ignored where the tests run in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
signum = int(sys.argv.pop(1))
from lib.data import pack
from lib.data.feature_files import FeatureFiles
from scripts import pack_features

pack.SYNC_EVERY = 4
read = FeatureFiles.__getitem__

def last(self, image):
    if image == 10:
        os.kill(os.getpid(), signum)
    return read(self, image)

FeatureFiles.__getitem__ = last
pack_features.main()
"""
