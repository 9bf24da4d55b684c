"""What outputs may replace, and one writer at a time."""

import fcntl
import os
import subprocess
import sys

import pytest

from lib.errors import InputError
from lib.outputs import check_outputs, exclusive, new_file, require_different, shared
from lib.share import ALONE, Share
from tests.support import ROOT


def anything(_):
    """A rule that lets every file be replaced."""


def test_an_input_is_no_output_by_any_name(tmp_path):
    model = tmp_path / "m.pth"
    model.write_text("weights")
    (tmp_path / "link").symlink_to(model)
    os.link(model, tmp_path / "hard")
    for name in ("m.pth", "link", "hard", "./m.pth"):
        with pytest.raises(InputError, match="is read by this command"):
            check_outputs([(f"{tmp_path}/{name}", anything)], [model])
    check_outputs([(tmp_path / "new", anything), (None, new_file)], [model])


def test_two_outputs_are_two_files(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for names in (("a", "a"), ("a", "link"), ("a", "./a")):
        with pytest.raises(InputError, match="is named for two outputs"):
            check_outputs([(f"{tmp_path}/{name}", anything) for name in names])


def test_the_rule_of_an_output_sees_a_file_that_is_there(tmp_path):
    (tmp_path / "theirs").write_text("precious")
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match="exists already"):
        check_outputs([(tmp_path / "theirs", new_file)])
    check_outputs([(tmp_path / "empty", new_file)])  # nothing is lost with it


def test_only_regular_files_are_written(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "null").symlink_to("/dev/null")
    for name, message in (
        ("pipe", "no regular file"),
        ("null", "no regular file"),
        ("loop", "loop of links"),
        (".", "is a folder"),
    ):
        with pytest.raises(InputError, match=message):
            check_outputs([(f"{tmp_path}/{name}", anything)])
    with pytest.raises(InputError, match="is empty"):
        check_outputs([("", anything)])


def test_members_are_different_files(tmp_path):
    (tmp_path / "a").touch()
    os.link(tmp_path / "a", tmp_path / "b")
    require_different([tmp_path / "a", tmp_path / "c"])
    for other in ("a", "b"):
        with pytest.raises(InputError, match=f"{other}: is named twice; and so"):
            require_different([tmp_path / "a", tmp_path / other], "and so")


HOLDS = """
import sys, time
from pathlib import Path
from lib.outputs import exclusive
with exclusive(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    time.sleep(float(sys.argv[3]))
"""


def holder(folder, name, seconds=100):
    words = [sys.executable, "-c", HOLDS, str(folder), name, str(seconds)]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_told_who_holds_it(tmp_path):
    with holder(tmp_path / "new", "grid") as other:
        with pytest.raises(InputError, match=rf"new: is in use by process {other.pid} on .*"), \
                exclusive(tmp_path / "new", "grid"):  # fmt: skip
            pass
        with exclusive(tmp_path / "new", "regions"):
            pass
        other.kill()
    lock = tmp_path / "new" / ".grid.lock"
    assert lock.read_text().startswith(f"process {other.pid} on ")
    for _ in range(2):
        (tmp_path / "new" / ".grid.lock").write_text("process 1 on elsewhere (a killed one)\n" * 5)
        with exclusive(tmp_path / "new", "grid"):  # the system let go of it
            assert lock.read_text().startswith(f"process {os.getpid()} on ")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_share_beside_its_launch_alone(tmp_path):
    """Processes of one number are together, those of another are refused while one is at work."""
    with holder(tmp_path, "work-1-of-3") as other:
        with shared(tmp_path, "work", Share(0, 3)), shared(tmp_path, "more-work", Share(0, 2)):
            assert (tmp_path / ".work-0-of-3.lock").is_file()
        with pytest.raises(InputError, match="is in use by process"), \
                shared(tmp_path, "work", Share(1, 3)):  # fmt: skip
            pass
        for share in (Share(1, 2), ALONE):
            with pytest.raises(InputError, match=rf"process {other.pid} .*, one of 3, is still"), \
                    shared(tmp_path, "work", share):  # fmt: skip
                pass
        other.kill()
    with shared(tmp_path, "work", Share(1, 2)):  # what the killed one left is removed
        assert [path.name for path in tmp_path.iterdir()] == [".work-1-of-2.lock"]
    with holder(tmp_path, "work") as other:
        with pytest.raises(InputError, match=r"one of 1, .* and this is one of 2"), \
                shared(tmp_path, "work", Share(0, 2)):  # fmt: skip
            pass
        other.kill()
    with shared(tmp_path, "work", ALONE):
        pass
    assert list(tmp_path.iterdir()) == []


def test_waiting_for_it(tmp_path):
    with holder(tmp_path, "", 0.5) as other, exclusive(tmp_path, wait=True):
        assert other.wait(10) == 0


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"), \
            exclusive(tmp_path / "file" / "x"):  # fmt: skip
        pass


def test_a_file_system_without_locks_is_noted(tmp_path, monkeypatch, capsys):
    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.lockf", unsupported)
    with exclusive(tmp_path):
        assert "its file system has no locks" in capsys.readouterr().err


def test_a_lock_that_its_holder_removes_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    lockf, tries = fcntl.lockf, []

    def removed_first(descriptor, flags):
        tries.append(flags)
        if len(tries) == 1:
            (tmp_path / ".in-use.lock").unlink()
        lockf(descriptor, flags)

    monkeypatch.setattr("fcntl.lockf", removed_first)
    with exclusive(tmp_path):
        assert len(tries) == 2


def test_a_lock_follows_no_link_and_replaces_no_file(tmp_path):
    (tmp_path / "theirs").write_text("precious")
    folder = tmp_path / "run"
    folder.mkdir()
    lock = folder / ".in-use.lock"
    lock.symlink_to(tmp_path / "theirs")
    with pytest.raises(InputError, match="cannot be written"), exclusive(folder):
        pass
    lock.unlink()
    lock.write_text("precious")
    with pytest.raises(InputError, match=r"lock: is no lock of this project"), exclusive(folder):
        pass
    assert lock.read_text() == (tmp_path / "theirs").read_text() == "precious"
