"""Files that are either whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lib.errors import InputError, first_line


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block succeeds.

    Whatever stood at ``path`` stays untouched until the new file is whole and on the disk.

    Raises:
        InputError: the folder cannot be written or the disk is full; the temporary file is gone.
    """
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
        kept = "; the file that stood there before is untouched" if path.is_file() else ""
        raise InputError(
            f"{path}: cannot be written ({first_line(error)}){kept}. "
            "Check the folder's permissions and the free space."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def is_running(temporary: Path) -> bool:
    """Whether the process that writes a temporary file of :func:`replacing` still does."""
    process = temporary.stem.rpartition("-")[2]
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def check_writable(path: str | Path) -> None:
    """Raise :class:`InputError` now if a file at ``path`` could not be written later.

    Creates nothing: it looks at the nearest folder that exists.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder, expected the name of a file to write")
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not folder.is_dir():
            raise InputError(f"{path}: cannot be written, {folder} is no folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise InputError(f"{path}: cannot be written, {folder} does not allow it")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({first_line(error)})") from error
