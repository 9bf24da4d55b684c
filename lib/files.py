"""Atomic writes, and checksums."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lib.errors import InputError, first_line


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block succeeds. The
    old file stays untouched until the new one is complete and on the disk. Raises InputError: the
    folder cannot be written or the disk is full; the temporary file is gone."""
    path = Path(path)
    # The suffix is kept, because np.save would add one of its own to a name without it.
    temporary = path.with_name(f".{path.stem}.writing-{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        kept = "; the old file is untouched" if path.is_file() else ""
        raise InputError(
            f"{path}: cannot be written ({first_line(error)}){kept}. "
            "Check the folder's permissions and the free space."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def remove_stale(folder: Path) -> None:
    """Remove the temporary files of :func:`atomic_write` whose process has been killed."""
    for temporary in folder.glob(".*.writing-*"):
        try:
            os.kill(int(temporary.stem.rpartition("-")[2]), 0)
        except (ValueError, ProcessLookupError):
            temporary.unlink(missing_ok=True)
        except PermissionError:  # a live process of another user
            continue


def check_writable(path: str | Path) -> None:
    """Raise :class:`InputError` now if a file at ``path`` could not be written later. Creates
    nothing: it looks at the nearest folder that exists."""
    path = Path(path)
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder, expected the name of a file to write")
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not folder.is_dir():
            raise InputError(f"{path}: cannot be written, {folder} is not a folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise InputError(f"{path}: cannot be written, {folder} does not allow it")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({first_line(error)})") from error


def text_sha256(lines: Sequence[str]) -> str:
    """A checksum of lines of text and their order, in hexadecimal."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """A file's checksum, in hexadecimal; raises :class:`InputError` if it cannot be read."""
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({first_line(error)})") from error
