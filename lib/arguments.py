"""Types of command-line arguments that several programs take."""

from argparse import ArgumentTypeError
from pathlib import Path


def path_arg(text: str) -> Path:
    """A path of a command line, for argparse, which refuses an empty one: it would mean the folder
    that one happens to be in."""
    if not text:
        raise ArgumentTypeError("is empty, expected a path")
    if "\0" in text or len(text) > 4096:
        raise ArgumentTypeError("is no path that a file can have")
    return Path(text)
