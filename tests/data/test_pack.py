"""One array and a sidecar: written whole, gone on with, or refused."""

import numpy as np
import pytest

from lib.data import pack as pack_module
from lib.data.pack import require_source, write_pack
from lib.errors import InputError


def test_a_packing_never_continues_in_another_ones_array(tmp_path, monkeypatch):
    """A is killed, B of the same place is killed, A is started again."""
    monkeypatch.setattr(pack_module, "SYNC_EVERY", 4)
    rows = {name: np.full((12, 2, 3), value, np.float32) for name, value in (("a", 1), ("b", 2))}

    def packing(name, stop, dtype="float32"):
        def entries_from(first):
            for number in range(first, 12):
                if number == stop:
                    raise KeyboardInterrupt
                yield rows[name][number]

        array = tmp_path / "train.npy"
        about = (array.with_suffix(".json"), {"of": name}, (12, 2, 3), dtype, entries_from)
        write_pack(array, *about)
        return np.load(array)

    for stop, other in ((6, "float32"), (6, "float16")):
        with pytest.raises(KeyboardInterrupt):
            packing("a", stop)
        with pytest.raises(KeyboardInterrupt):
            packing("b", 2, other)
        found = packing("a", None)
        assert found.dtype == np.float32
        assert np.array_equal(found, rows["a"])


def test_a_pack_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file: cannot be written"):
        write_pack(tmp_path / "file" / "train.npy", tmp_path / "file" / "train.json", {}, (1, 2),
                   "float32", lambda _: iter([np.zeros(2)]))  # fmt: skip


def test_a_packing_begins_anew_where_its_partial_array_is_cut_short(tmp_path, monkeypatch):
    monkeypatch.setattr(pack_module, "SYNC_EVERY", 1)
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)
    about = (tmp_path / "a.npy", tmp_path / "a.json", {"x": 1}, rows.shape, "float32")

    def stopped(first):
        yield from rows[first:4]
        raise InputError("stopped")

    with pytest.raises(InputError, match="stopped"):
        write_pack(*about, stopped)
    partial = tmp_path / ".a.packing.npy"
    partial.write_bytes(partial.read_bytes()[:140])
    taken = []
    write_pack(*about, lambda first: (taken.append(first), iter(rows[first:]))[1])
    assert taken == [0]
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), rows)


def test_a_disk_without_room_for_a_pack(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(InputError, match=r"a\.npy: cannot be written \(.*No space left"):
        write_pack(
            tmp_path / "a.npy", tmp_path / "a.json", {}, (2, 2), "float32", lambda _: iter(())
        )


def test_a_sidecar_of_another_shape_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(InputError, match=r"a\.json: is not a pack's sidecar"):
        require_source(tmp_path / "a.npy", {}, "pack again")


def test_a_partial_array_of_another_shape_is_not_gone_on_with(tmp_path):
    partial = tmp_path / "a.npy"
    np.save(partial, np.zeros((3, 2), np.float32))
    assert pack_module._opened(partial, (3, 2), "float32").shape == (3, 2)
    assert pack_module._opened(partial, (3, 3), "float32") is None
    assert pack_module._opened(partial, (3, 2), "float16") is None
