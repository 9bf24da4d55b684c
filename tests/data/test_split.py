"""Every layout of the files, and every way in which they may be broken."""

import pickle
import shutil
import sys

import numpy as np
import pytest

from lib.config import from_dict
from lib.data.split import open_split
from lib.errors import InputError
from tests.support import fail, succeed

N, K, C = 6, 3, 8
SIZES = {"img_dim": C, "categories": 5, "cells": 2, "map_size": 4}


def write(root, n=N, folder="f30k_precomp", **replace):
    """A split of random arrays; ``replace`` gives other contents for single files."""
    folder = root / folder
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    arrays = {
        "ims": generator.random((n, K, C), np.float32),
        "segmentations": generator.random((n, 5, 2, 2), np.float32),
        "seg_maps": generator.integers(0, 5, (n, 4, 4)).astype(np.float32),
        "cat_onehots": generator.integers(0, 2, (n, 5)).astype(np.float32),
    }
    for name, array in (arrays | {k: v for k, v in replace.items() if k in arrays}).items():
        if array is not None:
            np.save(folder / f"train_{name}.npy", array)
    captions = replace.get("caps", [f"a dog and {i} cats" for i in range(5 * n)])
    (folder / "train_caps.txt").write_text("".join(f"{line}\n" for line in captions))
    ids = replace.get("ids", [f"{100 + i}" for i in range(n)])
    (folder / "train_ids.txt").write_text("".join(f"{i}\n" for i in ids))
    return arrays


def load(root, **sections):
    sections["data"] = {"root": str(root), **sections.get("data", {})}
    sections["model"] = SIZES | sections.get("model", {})
    return open_split(from_dict(sections, "test"), "train")


def test_one_array_per_split(tmp_path):
    arrays = write(tmp_path)
    split = load(tmp_path)
    assert split.image_ids == [f"{100 + i}" for i in range(N)]
    assert len(split.captions) == 5 * N
    assert split.ids_per_image == 1
    for found, name in (
        (split.features, "ims"),
        (split.arrays["semantic"], "segmentations"),
        (split.arrays["seg_map"], "seg_maps"),
        (split.arrays["categories"], "cat_onehots"),
    ):
        np.testing.assert_array_equal(np.stack([found[i] for i in range(N)]), arrays[name])
    assert "one entry per image" in split.features.describe()


def test_sibling_layout(tmp_path):
    write(tmp_path, folder="f30k/precomp")
    assert load(tmp_path).folder == tmp_path / "f30k" / "precomp"


def test_ids_and_features_per_caption(tmp_path):
    rows = np.random.default_rng(1).random((N, K, C), np.float32)
    write(tmp_path, ims=rows.repeat(5, axis=0), ids=[i for i in range(N) for _ in range(5)])
    split = load(tmp_path)
    assert split.ids_per_image == 5
    assert split.image_ids == [str(i) for i in range(N)]
    assert "per caption row" in split.features.describe()
    np.testing.assert_array_equal(np.stack([split.features[i] for i in range(N)]), rows)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_any_float_dtype_becomes_float32(tmp_path, dtype):
    rows = np.random.default_rng(1).random((N, K, C)).astype(dtype)
    maps = np.random.default_rng(1).integers(0, 5, (N, 4, 4)).astype(np.uint8)
    write(tmp_path, ims=rows, seg_maps=maps)
    split = load(tmp_path)
    assert split.features[2].dtype == split.arrays["seg_map"][2].dtype == np.float32
    np.testing.assert_array_equal(split.features[2], rows[2].astype(np.float32))
    np.testing.assert_array_equal(split.arrays["seg_map"][5], maps[5])


@pytest.mark.parametrize(
    ("replace", "model", "message"),
    [
        ({"caps": ["x"] * 29}, {}, "29 captions, expected five per image"),
        ({"caps": []}, {}, "0 captions, expected five per image"),
        ({"ids": range(5)}, {}, "holds 5 ids, expected 6"),
        ({"ids": [*range(29), 28]}, {}, "expected one id five times"),
        ({"ims": np.zeros((5, K, C))}, {}, "holds 5 entries, expected 6"),
        ({"ims": np.zeros((N, K, C + 1))}, {}, r"shape \(3, 9\), expected \(any, 8\)"),
        ({"ims": np.zeros((N, 0, C))}, {}, "expected"),
        ({"ims": np.zeros((N, K, C), complex)}, {}, "holds complex128"),
        ({"ims": np.zeros((N, K, C), order="F")}, {}, "expected float or integer in C order"),
        ({"ims": np.empty((N, K, C), object)}, {}, "not a readable .npy file"),
        ({"ims": None}, {}, "features.folder"),
        ({"segmentations": np.zeros((N, 133, 7, 7))}, {}, r"expected \(5, 2, 2\)"),
        ({"segmentations": np.zeros((4, 5, 2, 2))}, {}, "holds 4 entries"),
        ({"seg_maps": np.zeros((N, 4, 5))}, {}, r"expected \(4, 4\)"),
        ({"cat_onehots": np.zeros((N, 6))}, {}, "model.categories"),
        ({"segmentations": None}, {}, "train_segmentations.npy: no such file"),
    ],
)
def test_broken_splits_are_explained(tmp_path, replace, model, message):
    write(tmp_path, **replace)
    if any(value is None for value in replace.values()):
        for name, value in replace.items():
            assert value is None
            (tmp_path / "f30k_precomp" / f"train_{name}.npy").unlink(missing_ok=True)
    with pytest.raises(InputError, match=message) as error:
        load(tmp_path, model=model)
    assert str(tmp_path) in str(error.value)


def test_wrong_number_of_regions(tmp_path):
    write(tmp_path)
    assert len(load(tmp_path, features={"regions": K}).features[0]) == K
    with pytest.raises(InputError, match=r"shape \(3, 8\), expected \(36, 8\)"):
        load(tmp_path, features={"regions": 36})


def test_files_that_a_model_does_not_use_need_not_exist(tmp_path):
    write(tmp_path, segmentations=None, seg_maps=None, cat_onehots=None)
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path)
    split = load(tmp_path, model={"segmentation": False})
    assert split.arrays == {}


def test_the_label_map_is_read_only_for_vspm(tmp_path):
    write(tmp_path, seg_maps=None)
    split = load(tmp_path, model={"vspm": False})
    assert split.arrays.keys() == {"semantic", "categories"}


def test_truncated_array(tmp_path):
    write(tmp_path)
    path = tmp_path / "f30k_precomp" / "train_ims.npy"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="cut short"):
        load(tmp_path)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(InputError, match=r"not a readable \.npy"):
        load(tmp_path)
    path.write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4', ")
    with pytest.raises(InputError, match=r"not a readable \.npy"):
        load(tmp_path)
    path.write_bytes(pickle.dumps({"npts": 3}))
    with pytest.raises(InputError, match=r"not a readable \.npy"):
        load(tmp_path)


def test_missing_dataset(tmp_path):
    with pytest.raises(InputError, match=r"f30k_precomp nor .*f30k/precomp is a folder"):
        load(tmp_path)


def test_pictures_alone(tmp_path):
    write(tmp_path)
    settings = from_dict({"data": {"root": str(tmp_path)}, "model": SIZES}, "test")
    assert len(open_split(settings, "train", pictures_alone=True).captions) == 5 * N
    (tmp_path / "f30k_precomp" / "train_caps.txt").unlink()
    split = open_split(settings, "train", pictures_alone=True)
    assert split.captions == []
    assert split.image_ids == [f"{100 + i}" for i in range(N)]
    with pytest.raises(InputError, match=r"no such file, though train_ids\.txt is there; training"):
        open_split(settings, "train")
    (tmp_path / "f30k_precomp" / "train_caps.txt").symlink_to("elsewhere")
    with pytest.raises(InputError, match=r"train_caps\.txt: no such file, though"):
        open_split(settings, "train", pictures_alone=True)
    (tmp_path / "f30k_precomp" / "train_caps.txt").unlink()
    with pytest.raises(InputError, match=r"holds no <split>_caps\.txt"):
        open_split(settings, "typo", pictures_alone=True)
    (tmp_path / "f30k_precomp" / "train_ids.txt").write_text("")
    with pytest.raises(InputError, match=r"train_ids\.txt: holds no id"):
        open_split(settings, "train", pictures_alone=True)


def test_nan_names_the_entry(tmp_path):
    rows = np.ones((N, K, C), np.float16)
    rows[4, 1, 2] = np.nan
    write(tmp_path, ims=rows)
    split = load(tmp_path)
    assert split.features[3].sum() == K * C
    with pytest.raises(InputError, match="entry 4 holds NaN"):
        split.features[4]


SPARSE = """
import os, re, sys
from pathlib import Path
from lib.config import from_dict
from lib.data.captions import tokenise
from lib.data.dataset import TrainingPairs, epoch_batches, training_loader
from lib.data.split import open_split
from lib.models.common.bert import BertTokenizer

root, bert = sys.argv[1:]

def peak():  # of this process alone; getrusage would count its parent before exec
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) * 1024 / 1e9

class Measured(TrainingPairs):
    def __getitem__(self, key):
        item = super().__getitem__(key)
        Path(root, f"peak-{os.getpid()}").write_text(str(peak()))
        return item

own = peak()  # of the libraries
config = from_dict({"data": {"root": root, "dataset": "coco"}}, "test")
split = open_split(config, "train")
captions = tokenise(split.captions, BertTokenizer(bert))
pairs = Measured(split, captions, config)
batches = epoch_batches(len(captions), 64, 0, 0)[:20]
for workers in (0, 2):
    for images, texts in training_loader(pairs, 0, batches, workers, pin=False):
        assert images.features.shape[2] == 2048
peaks = {path.name: float(path.read_text()) for path in Path(root).glob("peak-*")}
main = peaks.pop(f"peak-{os.getpid()}")
print(f"peak of the process {main:.2f} GB, of its workers {sorted(peaks.values())}, own {own:.2f}")
assert len(peaks) == 2
assert max(main, *peaks.values()) - own < 0.5
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs sparse files")
@pytest.mark.slow
def test_a_coco_sized_split_takes_less_than_half_a_gigabyte(tmp_path, world):
    """113,287 x 36 x 2048 float32, 33 GB as a sparse file, opened and sampled for real."""
    n = 113_287
    folder = tmp_path / "coco_precomp"
    folder.mkdir()
    for name, shape in (
        ("ims", (n, 36, 2048)),
        ("segmentations", (n, 133, 7, 7)),
        ("seg_maps", (n, 64, 64)),
        ("cat_onehots", (n, 133)),
    ):
        with (folder / f"train_{name}.npy").open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + 4 * int(np.prod(shape)))
    captions = "a brown dog with a red frisbee runs over the green grass\n"
    (folder / "train_caps.txt").write_text(captions * (5 * n))
    (folder / "train_ids.txt").write_text("".join(f"{i}\n" for i in range(n)))
    try:
        bert = world / "scenes_precomp" / "bert"
        print(succeed("python", "-c", SPARSE, tmp_path, bert))
    finally:
        shutil.rmtree(folder)


def test_check_data(world, settings, tmp_path):
    command = ("python", "scripts/check_data.py", "--config", "configs/scenes_region.yaml")
    printed = succeed(*command, *settings)
    assert "24, one id per image" in printed
    assert "(24, 6, 32) float16, one entry per image" in printed
    assert "all files can be used" in printed
    broken = tmp_path / "scenes_precomp"
    shutil.copytree(world / "scenes_precomp", broken)
    rows = np.load(broken / "dev_ims.npy")
    rows[3, 0, 0] = np.inf
    np.save(broken / "dev_ims.npy", rows)
    (broken / "test_ids.txt").write_text("1\n2\n")
    error = fail(*command, *settings, f"data.root={tmp_path}")
    assert "entry 3 holds NaN or infinite" in error
    assert "holds 2 ids, expected 10" in error
    assert "2 problems" in error


def test_grid_features_need_a_folder(tmp_path):
    write(tmp_path)
    with pytest.raises(InputError, match=r"name the folder inside .* features\.folder=FOLDER"):
        load(tmp_path, features={"type": "grid"})


@pytest.mark.parametrize(
    ("stem", "value", "message"),
    [("segmentations", 3.0, "a share of 3"), ("seg_maps", 7, "the label 7, expected 0 to 4"),
     ("cat_onehots", 2, "2, expected 0 or 1")],
)  # fmt: skip
def test_values_outside_their_range_are_refused(tmp_path, stem, value, message):
    array = write(tmp_path)[stem]
    array[4].flat[1] = value
    write(tmp_path, **{stem: array})
    split = load(tmp_path)
    (name,) = (n for n, a in split.arrays.items() if a.path.stem == f"train_{stem}")
    split.arrays[name][3]
    with pytest.raises(InputError, match=f"train_{stem}.npy: entry 4 holds {message}"):
        split.arrays[name][4]


@pytest.mark.parametrize("ids", [["a"] * N, ["a/b", *"bcdef"], ["a\x00", *"bcdef"]])
def test_ids_that_no_file_can_have_are_refused(tmp_path, ids):
    write(tmp_path, ids=ids)
    with pytest.raises(InputError, match=r"train_ids\.txt: "):
        load(tmp_path)
