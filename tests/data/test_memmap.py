"""Memory-mapped arrays."""

import pickle

import numpy as np
import pytest

from lib.data.memmap import MemmapArray, open_memmap
from lib.errors import InputError


def test_a_mapped_array_survives_pickling_and_giving_pages_back(tmp_path, monkeypatch):
    rows = np.random.default_rng(0).random((40, 16, 64), np.float32)
    np.save(tmp_path / "a.npy", rows)
    monkeypatch.setattr("lib.data.memmap.RELEASE_AFTER", 2)
    array = MemmapArray(tmp_path / "a.npy", 40, (None, 64), "rows, channels")
    again = pickle.loads(pickle.dumps(array))
    for i in (0, 39, 7, 7, 0):
        np.testing.assert_array_equal(array[i], rows[i])
        np.testing.assert_array_equal(again[i], rows[i])


@pytest.mark.parametrize("content", ["archive", "number"])
def test_other_files_of_numpy_are_refused(tmp_path, content):
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        if content == "archive":
            np.savez(file, rows=np.zeros(3))
        else:
            np.save(file, np.float32(1))
    with pytest.raises(InputError, match=r"a\.npy: (is not a readable|holds)"):
        open_memmap(path)


def test_an_array_says_what_it_is(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((10, 3, 8), np.float16))
    array = MemmapArray(tmp_path / "a.npy", 2, (None, 8), "rows, channels")
    assert len(array) == 2
    assert array.describe() == "(10, 3, 8) float16, one entry per caption row, every fifth is read"
