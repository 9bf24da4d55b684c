"""The folder of an index beside its embeddings, and FAISS, which reads and writes its files."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lib.errors import InputError, first_line
from lib.files import atomic_write

FOLDER, MANIFEST = "index", "index.json"
INDEX, LISTS = "index.faiss", "index.ivfdata"
KIND = "image-sentence index 1"


def load_faiss(otherwise: str = "") -> Any:
    """The package. Raises InputError: it is not installed; ``otherwise`` tells what does without
    it."""
    try:
        import faiss
    except ImportError as error:
        raise InputError(
            "an index needs the package faiss, an extra: pip install faiss-cpu, with the version "
            f"in requirements.txt{otherwise}"
        ) from error
    return faiss


def has_index(embeddings: Path) -> bool:
    """Whether there is a finished index beside the shards."""
    return (embeddings / FOLDER / MANIFEST).is_file()


def write_index(faiss: Any, index: Any, path: Path) -> None:
    with atomic_write(path) as temporary:
        try:
            faiss.write_index(index, str(temporary))
        except RuntimeError as error:
            raise OSError(first_line(error)) from error


def read_index(faiss: Any, path: Path, flags: int) -> Any:
    try:
        with quiet():
            return faiss.read_index(str(path), flags)
    except RuntimeError as error:
        raise InputError(
            f"{path}: is no readable index ({first_line(error)}); remove it, and build again"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """A block in which FAISS prints nothing: it tells of files that it resizes or finds, and has no
    switch for it."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
