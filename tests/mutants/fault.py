"""A fault in one line of a file."""

from typing import NamedTuple


class Fault(NamedTuple):
    """``old``, which a file holds once, becomes ``new``, and ``test`` must notice it."""

    file: str
    old: str
    new: str
    test: str


def in_file(file: str, *faults: tuple[str, str, str]) -> list[Fault]:
    """Several of one file: old, new, test."""
    return [Fault(file, *fault) for fault in faults]
