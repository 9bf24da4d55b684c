"""What command lines of several programs share: their parser, and types of arguments."""

import re
from argparse import (
    SUPPRESS,
    Action,
    ArgumentParser,
    ArgumentTypeError,
    RawDescriptionHelpFormatter,
)
from pathlib import Path

DEVICE_HELP = "where to compute; auto takes a GPU if there is one"
PRECISION_HELP = "of the products while encoding"


class HelpFormatter(RawDescriptionHelpFormatter):
    """Keeps the lines of a description, and tells each option's default unless its help does."""

    def _get_help_string(self, action: Action) -> str:
        text = action.help or ""
        told = "default:" in text or action.default in (None, False, SUPPRESS)
        return text if told else f"{text}; default: %(default)s"


def new_parser(description: str | None) -> ArgumentParser:
    """A parser whose ``-h`` prints a program's docstring as it stands, and every default."""
    return ArgumentParser(description=description, formatter_class=HelpFormatter)


def path_arg(text: str) -> Path:
    """A path of a command line, for argparse, which refuses an empty one: it would mean the folder
    that one happens to be in."""
    if not text:
        raise ArgumentTypeError("is empty, expected a path")
    if "\0" in text or len(text) > 4096:
        raise ArgumentTypeError("is no path that a file can have")
    return Path(text)


def dataset_problem(name: str) -> str | None:
    """What is wrong with the name of a dataset; None: nothing. Its folder is not looked for."""
    if name.endswith("_precomp"):
        return f"expected the name without _precomp: {name.removesuffix('_precomp')}"
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        return None
    return "expected a name such as f30k, whose files are in f30k_precomp/"


def dataset_arg(text: str) -> str:
    """The name of a dataset, from the command line."""
    if problem := dataset_problem(text):
        raise ArgumentTypeError(f"{text!r}: {problem}")
    return text
