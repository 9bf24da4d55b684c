"""Atomic writes, reserved space, JSON, and checksums."""

import hashlib
import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import InputError, first_line


def is_file(path: Path) -> bool:
    """Whether a regular file is there; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def require_regular(path: str | Path, kind: str) -> None:
    """Refuse a pipe, a device or a folder where a file is to be read: a pipe that nobody writes to
    would be waited for without end. Raises InputError; a file that is missing is for the reader."""
    path = Path(path)
    if not is_file(path) and path.exists():
        raise InputError(f"{path}: is no regular file, expected {kind}")


def real_path(path: str | Path) -> Path:
    """Where a file is, links followed. Raises InputError: an empty path, one that leads nowhere, or
    to what is no regular file: a device, a pipe, a folder."""
    if not str(path):
        raise InputError("the name of a file to write is empty")
    try:
        real = Path(os.path.realpath(path))
        if real.is_symlink():
            raise InputError(f"{path}: is a loop of links")
        if real.exists() and not real.is_file():
            kind = "a folder" if real.is_dir() else "no regular file"
            raise InputError(f"{path}: is {kind}, expected the name of a file to write")
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be written ({first_line(error)})") from error
    return real


# Which machine a temporary file is of: several may write into one folder.
MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
ABANDONED = 86_400  # seconds after which another machine's temporary file has no writer any more
UMASK = os.umask(0)  # it can be asked for by setting it alone
os.umask(UMASK)


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block succeeds. The
    old file stays untouched until the new one is complete and on the disk; links are followed.
    Raises InputError: the folder cannot be written, the disk is full, or ``path`` is no regular
    file; the temporary file is gone."""
    path = real_path(path)
    # The suffix is kept, because np.save would add one of its own to a name without it.
    temporary = path.with_name(f".{path.stem}.writing-{MACHINE}-{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        with suppress(OSError):  # safetensors writes for its owner alone; some disks have no modes
            temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~UMASK)
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
    """Remove the temporary files of :func:`atomic_write` whose process has been killed. One of
    another machine, whose processes cannot be asked, is left for a day."""
    for temporary in folder.glob(".*.writing-*"):
        machine, _, process = temporary.stem.rpartition(".writing-")[2].rpartition("-")
        try:
            if machine not in ("", MACHINE):  # earlier versions named none
                if time.time() - temporary.stat().st_mtime > ABANDONED:
                    temporary.unlink(missing_ok=True)
                continue
            os.kill(int(process), 0)
        except FileNotFoundError:
            continue
        except (ValueError, ProcessLookupError):
            temporary.unlink(missing_ok=True)
        except PermissionError:  # a live process of another user
            continue


def check_writable(path: str | Path) -> None:
    """Raise :class:`InputError` now if a file at ``path`` could not be written later. Creates
    nothing: it looks at the nearest folder that exists."""
    path = real_path(path)
    try:
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not folder.is_dir():
            raise InputError(f"{path}: cannot be written, {folder} is not a folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise InputError(f"{path}: cannot be written, {folder} does not allow it")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({first_line(error)})") from error


def reserved_array(path: Path, shape: tuple[int, ...], dtype: str) -> np.memmap:
    """A new ``.npy`` file of zeros whose space is taken on the disk: a map of a sparse file would
    end the process at the first page that the disk has no room for. Raises OSError: no room."""
    array = np.lib.format.open_memmap(path, "w+", np.dtype(dtype), shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def read_json(path: str | Path, kind: str) -> Any:
    """What a JSON file holds; ``kind`` says what it should be. Raises InputError: it cannot be
    read, or is no JSON."""
    require_regular(path, f"a {kind}")
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except RecursionError as error:
        raise InputError(f"{path}: is not a {kind} (it is nested too deeply)") from error
    except ValueError as error:
        raise InputError(f"{path}: is not a {kind} ({first_line(error)})") from error


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
