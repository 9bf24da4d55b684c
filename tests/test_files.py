"""Atomic writes, what they leave behind, and what is said before anything is written."""

import os
from pathlib import Path

import pytest

from lib.errors import InputError
from lib.files import (
    MACHINE,
    atomic_write,
    check_writable,
    file_sha256,
    is_file,
    read_json,
    remove_stale,
    reserved_array,
)
from tests.support import run


def test_a_block_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_text("new")
        raise RuntimeError("stopped")
    assert path.read_text() == "old"
    with atomic_write(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_files_of_killed_writers_go_and_those_of_live_ones_stay(tmp_path):
    dead = int(run("python", "-c", "import os; print(os.getpid())").stdout)
    for pid in (dead, os.getpid()):
        (tmp_path / f".c.writing-{pid}.pth").write_text("")
    (tmp_path / "c.pth").write_text("")
    remove_stale(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f".c.writing-{os.getpid()}.pth", "c.pth"]


def test_temporary_files_of_other_machines_are_left_for_a_day(tmp_path):
    """Their processes cannot be asked; one that died long ago is of no use."""
    young, old = (tmp_path / f".{name}.writing-00000000-1.npz" for name in "ab")
    own = tmp_path / f".c.writing-{MACHINE}-999999999.npz"
    for path in (young, old, own):
        path.write_text("")
    os.utime(old, (0, 0))
    remove_stale(tmp_path)
    assert sorted(tmp_path.iterdir()) == [young]
    with atomic_write(tmp_path / "d.npz") as temporary:
        assert MACHINE in temporary.name
        temporary.write_text("")


def test_what_cannot_be_written_is_said_before(tmp_path):
    (tmp_path / "file").write_text("")
    check_writable(tmp_path / "new" / "folder" / "x.json")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    with pytest.raises(InputError, match="is a folder, expected the name of a file"):
        check_writable(tmp_path)
    with pytest.raises(InputError, match="file is not a folder"):
        check_writable(tmp_path / "file" / "x.json")
    with pytest.raises(InputError, match="cannot be written"):
        check_writable(tmp_path / ("x" * 300))


def test_a_file_that_cannot_be_read_has_no_checksum(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a").startswith("ba7816bf")
    with pytest.raises(InputError, match="cannot be read"):
        file_sha256(tmp_path / "none")


def test_what_another_user_writes_stays(tmp_path, monkeypatch):
    (tmp_path / ".c.writing-5.pth").write_text("")

    def refused(*_):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)
    remove_stale(tmp_path)
    assert list(tmp_path.iterdir())


def test_a_folder_without_permission(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may always write
    with pytest.raises(InputError, match="does not allow it"):
        check_writable(tmp_path / "a.json")

    def unknown(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "access", unknown)
    with pytest.raises(InputError, match=r"cannot be written .*Input/output"):
        check_writable(tmp_path / "a.json")


def test_names_that_no_file_can_have_are_no_files():
    for name in ("x" * 5000, "a\0b"):
        assert not is_file(Path(name))
        with pytest.raises(InputError, match="cannot be written"):
            check_writable(name)


def test_json_is_read_or_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('\ufeff{"a": 1}')
    assert read_json(path, "record") == {"a": 1}
    for text, message in (("{", "Expecting"), ("[" * 100_000, "nested too deeply")):
        path.write_text(text)
        with pytest.raises(InputError, match=f"is not a record .*{message}"):
            read_json(path, "record")
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path / "none", "record")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is no regular file, expected a record"):
        read_json(tmp_path / "pipe", "record")


def test_room_is_reserved(tmp_path):
    array = reserved_array(tmp_path / "a.npy", (1000, 100), "float32")
    assert array.shape == (1000, 100)
    assert not array.any()
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= 400_000
