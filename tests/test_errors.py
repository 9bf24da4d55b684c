"""What a user is told, and what stays a traceback."""

import pickle

import pytest
from pydantic import TypeAdapter, ValidationError

from lib.errors import InputError, exit_on_error, few, first_line


@pytest.mark.parametrize(
    ("raised", "code"),
    [(InputError("a.pth: no such file"), "error: a.pth: no such file"), (KeyboardInterrupt(), 130)],
)
def test_programs_leave_with_one_line(raised, code):
    with pytest.raises(SystemExit) as left, exit_on_error():
        raise raised
    assert left.value.code == code


def test_bugs_keep_their_traceback():
    with pytest.raises(ZeroDivisionError), exit_on_error():
        raise ZeroDivisionError


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
