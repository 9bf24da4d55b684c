"""What a user is told, and what stays a traceback."""

import pickle
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from lib.errors import InputError, exit_on_error, few, first_line
from tests.support import ROOT


@pytest.mark.parametrize(
    ("raised", "code"),
    [(InputError("a.pth: no such file"), "error: a.pth: no such file"), (KeyboardInterrupt(), 130)],
)
def test_programs_leave_with_one_line(raised, code):
    with pytest.raises(SystemExit) as left, exit_on_error():
        raise raised
    assert left.value.code == code


def test_the_traceback_of_a_bug_goes_to_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["/x/eval.py", "--checkpoint", "a.pth"])
    with pytest.raises(SystemExit) as left, exit_on_error():
        raise KeyError("lost\nand more")
    (path,) = tmp_path.iterdir()
    text = "error: unexpected error while running eval.py --checkpoint a.pth: KeyError: "
    assert left.value.code.startswith(text)
    assert left.value.code.endswith(f"the full traceback is in {path}")
    assert "Traceback (most recent call last)" in path.read_text()


def test_an_error_of_the_system_names_its_file():
    with pytest.raises(SystemExit, match="error: no/such: No such file or directory"), \
            exit_on_error():  # fmt: skip
        Path("no/such").stat()


def test_an_error_is_one_line_of_some_length():
    with pytest.raises(SystemExit) as left, exit_on_error():
        raise InputError("a\nb" + "x" * 10_000)
    assert "\n" not in left.value.code
    assert len(left.value.code) < 2000


def test_a_closed_pipe_is_no_error():
    words = [sys.executable, "-c", PRINTS]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as done:
        done.stdout.close()
        assert done.stderr.read() == b""
        assert done.wait() == 141


def test_ctrl_c_during_imports_is_quiet():
    words = [sys.executable, "-c", "import lib; raise KeyboardInterrupt"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
    words = [sys.executable, "-c", "import lib; raise ZeroDivisionError"]
    assert "Traceback" in subprocess.run(words, cwd=ROOT, capture_output=True, text=True).stderr


PRINTS = """
from lib.errors import exit_on_error
with exit_on_error():
    for _ in range(10**6):
        print("a line", flush=True)
"""


def test_a_worker_s_error_is_the_sentence_alone():
    text = "Caught in worker 0.\nTraceback ...\nlib.errors.InputError: a.npy: holds NaN\n"
    assert str(InputError(text)) == "a.npy: holds NaN"


def test_the_first_line_says_something():
    assert first_line(OSError("one\ntwo")) == "one"
    assert first_line(EOFError()) == "EOFError"
    assert "tensors and plain values" in first_line(pickle.UnpicklingError("weights_only=False"))
    with pytest.raises(ValidationError) as error:
        TypeAdapter(int).validate_python("x")
    assert first_line(error.value).startswith("Input should be a valid integer")


def test_many_names_become_few():
    assert few("abcde") == "a, b, c, d, e"
    assert few("abcdefg") == "a, b, c, d, e and 2 more"


def test_a_name_with_nul_is_told(tmp_path):
    with pytest.raises(SystemExit, match="error: a path holds a NUL character"), exit_on_error():
        Path("a\0b").stat()
