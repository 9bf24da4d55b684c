"""Types of command-line arguments."""

from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from lib.arguments import path_arg


def test_a_path_is_no_empty_word():
    assert path_arg("a/b") == Path("a/b")
    for text in ("", "a\0b", "x" * 5000):
        with pytest.raises(ArgumentTypeError):
            path_arg(text)
