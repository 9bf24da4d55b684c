"""Features in one file per image: layouts, pooling, listings, and files that are no good."""

import pickle

import numpy as np
import pytest
import torch

from lib.config import FeaturesConfig
from lib.data.feature_files import FeatureFiles
from lib.errors import InputError

C = 8
CELLS = np.random.default_rng(2).random((4, 2, 3, C)).astype(np.float16)  # n, H, W, C
IDS = [f"{100 + i}" for i in range(len(CELLS))]


def stored(layout):
    return {
        "KC": CELLS.reshape(len(CELLS), 6, C),
        "HWC": CELLS,
        "CHW": CELLS.transpose(0, 3, 1, 2),
        "1CHW": CELLS.transpose(0, 3, 1, 2)[:, None],
    }[layout]


def write(folder, layout="HWC", suffix=".npy", dtype=np.float16):
    for image_id, array in zip(IDS, stored(layout), strict=True):
        array = np.ascontiguousarray(array.astype(dtype))
        if suffix == ".npy":
            np.save(folder / f"{image_id}.npy", array)
        else:
            torch.save(torch.from_numpy(array), folder / f"{image_id}.pth")


def read(folder, ids=IDS, **features):
    features = FeaturesConfig(**{"type": "grid", "folder": "grids", "grid_size": None} | features)
    return FeatureFiles(folder, ids, C, features)


@pytest.mark.parametrize("suffix", [".npy", ".pth"])
@pytest.mark.parametrize("layout", ["KC", "HWC", "CHW", "1CHW"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_layout_gives_the_same_cells(tmp_path, suffix, layout, dtype):
    write(tmp_path, layout, suffix, dtype)
    folder = read(tmp_path)
    assert len(folder) == len(CELLS)
    for i, cells in enumerate(CELLS):
        assert folder[i].dtype == np.float32
        np.testing.assert_array_equal(folder[i], cells.reshape(6, C).astype(np.float32))


def test_opening_reads_one_file(tmp_path, monkeypatch):
    write(tmp_path)
    read_files, load = [], np.load
    monkeypatch.setattr(np, "load", lambda path, **kw: read_files.append(path) or load(path, **kw))
    folder = read(tmp_path)
    assert [path.name for path in read_files] == ["100.npy"]
    assert folder[2].shape == (6, C)
    assert [path.name for path in read_files] == ["100.npy", "102.npy"]


def test_bfloat16_tensors(tmp_path):
    tensor = torch.arange(2.0 * C).reshape(2, C).bfloat16()
    torch.save(tensor, tmp_path / "7.pth")
    np.testing.assert_array_equal(read(tmp_path, ["7"])[0], tensor.float().numpy())


def test_cells_are_pooled_by_averages(tmp_path):
    """Adaptive: cell i of s takes rows floor(i H / s) to ceil((i + 1) H / s)."""
    maps = np.random.default_rng(0).random((5, 7, C), np.float32)
    np.save(tmp_path / "7.npy", maps.transpose(2, 0, 1))
    wanted = []
    for row in range(3):
        for column in range(3):
            rows = slice(row * 5 // 3, -(-(row + 1) * 5 // 3))
            columns = slice(column * 7 // 3, -(-(column + 1) * 7 // 3))
            wanted.append(maps[rows, columns].mean(axis=(0, 1)))
    pooled = read(tmp_path, ["7"], grid_size=3)
    np.testing.assert_allclose(pooled[0], wanted, rtol=1e-6)
    assert "cells pooled to 3 x 3" in pooled.describe()
    assert read(tmp_path, ["7"])[0].shape == (35, C)


def test_seven_by_seven_is_the_default():
    assert FeaturesConfig().grid_size == 7


def test_rows_without_a_height_are_pooled_already_or_refused(tmp_path):
    np.save(tmp_path / "7.npy", np.ones((9, C), np.float32))
    assert read(tmp_path, ["7"], grid_size=3)[0].shape == (9, C)
    with pytest.raises(InputError, match="9 cells without their height and width"):
        read(tmp_path, ["7"], grid_size=2)


def test_a_narrow_map_repeats_its_cells(tmp_path):
    """As of a picture of 640 x 59: adaptive averages with more cells than there are."""
    cells = np.random.default_rng(0).random((2, 9, C)).astype(np.float32)
    np.save(tmp_path / "7.npy", cells)
    rows = read(tmp_path, ["7"], grid_size=3)[0].reshape(3, 3, C)
    for row, seen in enumerate(([0], [0, 1], [1])):  # floor(2 r / 3) to ceil(2 (r + 1) / 3)
        for column in range(3):
            expected = cells[seen, 3 * column : 3 * column + 3].mean(axis=(0, 1))
            np.testing.assert_allclose(rows[row, column], expected, rtol=1e-5)


def test_a_single_row_of_cells_is_refused(tmp_path):
    """It is rather a list of cells, (1, K, C), than a map."""
    for height, width in ((1, 9), (9, 1)):
        np.save(tmp_path / "7.npy", np.ones((height, width, C), np.float32))
        with pytest.raises(InputError, match=f"{height} x {width} cells cannot be averaged"):
            read(tmp_path, ["7"], grid_size=3)
        assert read(tmp_path, ["7"])[0].shape == (height * width, C)


def test_a_map_is_no_list_of_regions(tmp_path):
    write(tmp_path)
    with pytest.raises(InputError, match=r"features\.type=grid"):
        read(tmp_path, type="region")
    write(tmp_path, "KC")
    assert read(tmp_path, type="region", grid_size=7)[0].shape == (6, C)
    with pytest.raises(InputError, match="holds 6 rows, expected 36"):
        read(tmp_path, type="region", regions=36)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((C, 2, C), np.float32), "could be"),
        (np.zeros((3, 7), np.float32), f"C = {C}"),
        (np.zeros((3, 4, 7), np.float32), f"C = {C}"),
        (np.zeros((0, C), np.float32), "holds no row"),
        (np.zeros((0, 2, C), np.float32), "holds no row"),
        (np.zeros((2, C, 2, 2), np.float32), "expected"),
        (np.zeros(C, np.float32), "expected"),
        (np.array(["x"]), "expected float or integer"),
        (np.zeros((3, C), complex), "expected float or integer"),
        (np.array([{}], object), "not a readable .npy file"),
        ({"a": np.zeros(3)}, "not a readable .npy file"),
    ],
)
def test_bad_files(tmp_path, array, message):
    if isinstance(array, dict):
        with (tmp_path / "7.npy").open("wb") as file:
            np.savez(file, **array)
    else:
        np.save(tmp_path / "7.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path, ["7"])
    assert "7.npy" in str(error.value)


def test_nan_names_the_file(tmp_path):
    write(tmp_path)
    broken = CELLS[2].copy()
    broken[1, 1, 3] = np.nan
    np.save(tmp_path / "102.npy", broken)
    folder = read(tmp_path)
    assert folder[1].shape == (6, C)
    with pytest.raises(InputError, match=r"102\.npy: holds NaN"):
        folder[2]


def test_missing_files(tmp_path):
    write(tmp_path)
    with pytest.raises(InputError, match=r"lacks 8\.npy"):
        read(tmp_path, [*IDS, "8"])
    with pytest.raises(InputError, match="no such folder"):
        read(tmp_path / "none")
    with pytest.raises(InputError, match="no such folder"):
        read(tmp_path / "101.npy")
    write(tmp_path, suffix=".pth")
    with pytest.raises(InputError, match="keep one of the two"):
        read(tmp_path)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_files_that_run_code_are_refused(tmp_path):
    for name in ("7.pth", "8.npy"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb(tmp_path / "burst")))
    for image_id in ("7", "8"):
        with pytest.raises(InputError, match=r"cannot be read|not a readable"):
            read(tmp_path, [image_id])
    assert not (tmp_path / "burst").exists()


def test_folders_that_cannot_be_listed_and_files_that_go(tmp_path, monkeypatch):
    write(tmp_path)
    folder = read(tmp_path)
    before = folder.fingerprint()
    (tmp_path / "101.npy").touch()
    assert read(tmp_path).fingerprint() == before  # whenever they were written
    np.save(tmp_path / "101.npy", np.zeros((2, 3, C), np.float16))
    assert read(tmp_path).fingerprint() != before
    (tmp_path / "102.npy").unlink()
    with pytest.raises(InputError, match=r"a file cannot be read .*102\.npy"):
        folder.sources_sha256()
    with pytest.raises(InputError, match=r"102\.npy: cannot be read"):
        folder.fingerprint()

    def refused(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "iterdir", refused)
    with pytest.raises(InputError, match="cannot be listed"):
        read(tmp_path)


def test_odd_tensors_are_refused(tmp_path):
    for tensor, message in (
        (torch.zeros(3, C).to_sparse(), "cannot be read as a tensor"),
        (torch.zeros(3, C, dtype=torch.complex64), "expected numbers"),
        ({"a": torch.zeros(3, C)}, "cannot be read as one array"),
    ):
        torch.save(tensor, tmp_path / "7.pth")
        with pytest.raises(InputError, match=message):
            read(tmp_path, ["7"])
