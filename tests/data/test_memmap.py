"""Arrays that are read entry by entry."""

import pickle

import numpy as np
import pytest

from lib.data.memmap import MemmapArray, read_header
from lib.errors import InputError


def test_an_array_survives_pickling(tmp_path):
    rows = np.random.default_rng(0).random((40, 16, 64), np.float32)
    np.save(tmp_path / "a.npy", rows)
    array = MemmapArray(tmp_path / "a.npy", 40, (None, 64), "rows, channels")
    again = pickle.loads(pickle.dumps(array))
    for i in (0, 39, 7, 7, 0):
        np.testing.assert_array_equal(array[i], rows[i])
        np.testing.assert_array_equal(again[i], rows[i])


def test_an_array_that_is_cut_short_while_it_is_read(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.ones((40, 16, 64), np.float32))
    array = MemmapArray(path, 40, (None, 64), "rows, channels")
    assert array[39].all()
    with path.open("r+b") as file:
        file.truncate(100_000)
    assert array[0].all()
    with pytest.raises(InputError, match=r"a\.npy: has been cut short since it was opened"):
        array[39]


def test_a_fingerprint_tells_a_change(tmp_path):
    rows = np.random.default_rng(0).random((200, 3), np.float32)

    def found(values):
        np.save(tmp_path / "a.npy", values)
        return MemmapArray(tmp_path / "a.npy", 200, (3,), "numbers").fingerprint()

    before = found(rows)
    assert found(rows) == before
    for place in (0, 199):
        changed = rows.copy()
        changed[place, 1] += 1
        assert found(changed) != before
    assert found(rows.astype(np.float64)) != before


@pytest.mark.parametrize(
    "shape",
    [
        "(-5, 3)",
        "(True, 3)",
        "(4611686018427387904, 3)",
        "(5.0, 3)",
        "(" * 3000,
        "None",
        "(10**12,)",
    ],
)
def test_headers_that_promise_too_much(tmp_path, shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n"
    length = len(header).to_bytes(2, "little")
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + length + header.encode() + bytes(60))
    with pytest.raises(InputError, match=r"a\.npy: is not a readable \.npy file"):
        read_header(path)


@pytest.mark.parametrize("content", ["archive", "number"])
def test_other_files_of_numpy_are_refused(tmp_path, content):
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        if content == "archive":
            np.savez(file, rows=np.zeros(3))
        else:
            np.save(file, np.float32(1))
    with pytest.raises(InputError, match=r"a\.npy: (is not a readable|holds)"):
        MemmapArray(path, 3, (), "numbers")


def test_an_array_says_what_it_is(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((10, 3, 8), np.float16))
    array = MemmapArray(tmp_path / "a.npy", 2, (None, 8), "rows, channels")
    assert len(array) == 2
    assert array.describe() == "(10, 3, 8) float16, one entry per caption row, every fifth is read"


def test_other_versions_of_the_format_and_files_that_go(tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x03\x00" + bytes(60))
    with pytest.raises(InputError, match=r"it has \.npy version \(3, 0\)"):
        read_header(path)
    np.save(path, np.ones((2, 3)))
    array = MemmapArray(path, 2, (3,), "numbers")
    path.unlink()
    with pytest.raises(InputError, match=r"a\.npy: cannot be read"):
        array[0]
