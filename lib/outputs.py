"""Files that a command writes: what they may replace, and one writer at a time."""

import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from glob import escape
from pathlib import Path

from lib.errors import InputError, first_line, one_line
from lib.files import check_writable, real_path
from lib.share import Share

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

# Raises InputError where the file at the path is not an earlier version of the same output.
Replaceable = Callable[[Path], None]


def check_outputs(
    outputs: Iterable[tuple[str | Path | None, Replaceable]], inputs: Iterable[str | Path] = ()
) -> None:
    """Refuse, before anything is computed, outputs that would destroy something: an input of this
    command under any name, another output of it, what is no regular file, and a file that is not
    the same output of the same thing, which each output's second part tells. None is an output
    that is not asked for. Raises InputError."""
    taken: list[Path] = []
    read = [Path(path) for path in inputs]
    for given, replaceable in outputs:
        if given is None:
            continue
        check_writable(given)
        path = real_path(given)
        if any(_same(path, other) for other in read):
            raise InputError(f"{given}: is read by this command, and cannot be written by it")
        if path in taken or any(_same(path, other) for other in taken):
            raise InputError(f"{given}: is named for two outputs")
        taken.append(path)
        if path.is_file() and path.stat().st_size:
            replaceable(path)


def _same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, by links of either kind."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def require_different(paths: Sequence[str | Path], advice: str = "") -> None:
    """Refuse one file under two names, by links of either kind. Raises InputError."""
    for number, path in enumerate(paths):
        for other in paths[:number]:
            if _same(Path(path), Path(other)) or str(path) == str(other):
                raise InputError(f"{path}: is named twice" + (f"; {advice}" if advice else ""))


def new_file(path: Path) -> None:
    """The rule for outputs that replace nothing: refuses any file."""
    raise InputError(f"{path}: exists already; choose another name, or remove it")


@contextmanager
def exclusive(
    folder: Path,
    name: str = "",
    wait: bool = False,
    advice: str = "wait for it, or choose another folder",
) -> Iterator[None]:
    """Hold ``folder``, which is made, for this process; ``name`` tells parts of a folder that may
    be written at once. The operating system lets go of it however the process ends. Raises
    InputError: another process holds it, by its number and command, and ``advice``, unless ``wait``
    waits for it; or the folder cannot be written."""
    lock = folder / f".{name or 'in-use'}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(lock, wait)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: cannot be written ({first_line(error)})") from error
    if descriptor is None:
        raise InputError(f"{folder}: is in use by {_holder(lock)}; {advice}")
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink()
        os.close(descriptor)


@contextmanager
def shared(folder: Path, name: str, share: Share) -> Iterator[None]:
    """Hold a part of ``folder`` for one process's share of work, beside the others of its launch.
    Raises InputError: another process has the same share, or a launch with another number of
    processes is still running, which does the same work."""
    with ExitStack() as held:
        with exclusive(folder, f"{name}-starting", wait=True):
            for lock in folder.glob(f".{escape(name)}*.lock"):
                found = re.fullmatch(rf"\.{re.escape(name)}(?:-\d+-of-(\d+))?\.lock", lock.name)
                if found is None:
                    continue
                try:
                    descriptor = _locked(lock, wait=False)
                except OSError as error:
                    told = f"cannot be opened ({first_line(error)}), expected a lock; remove it"
                    raise InputError(f"{lock}: {told}") from error
                if descriptor is not None:  # of a process that was killed
                    lock.unlink(missing_ok=True)
                    os.close(descriptor)
                elif (size := int(found[1] or 1)) != share.world_size:
                    raise InputError(
                        f"{folder}: {_holder(lock)}, one of {size}, is still working on the same "
                        f"files, and this is one of {share.world_size}; wait for all of them, or "
                        "stop them"
                    )
            held.enter_context(exclusive(folder, name + share.mark, advice="wait for it"))
        yield


def _holder(lock: Path) -> str:
    """Who has a lock, as its file says."""
    with suppress(OSError):
        if text := lock.read_text(encoding="utf-8", errors="replace").strip():
            return text
    return "another process"


def _locked(lock: Path, wait: bool) -> int | None:
    """A locked file's descriptor, or None where another process has it."""
    while True:
        # Never through a link, which could lead to anything.
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            if fcntl is not None:
                # Of this process alone: a flock would pass to its forked loading workers.
                fcntl.lockf(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if os.fstat(descriptor).st_ino == lock.stat().st_ino:
                break
        except (BlockingIOError, PermissionError):
            os.close(descriptor)
            return None
        except FileNotFoundError:  # its holder has just let go of it and removed it
            pass
        except OSError:  # a file system without locks
            print(f"note: {lock.parent}: its file system has no locks", file=sys.stderr)
            break
        os.close(descriptor)
    if (found := os.read(descriptor, 100)) and not found.startswith(b"process "):
        os.close(descriptor)
        raise InputError(f"{lock}: is no lock of this project; rename it")
    command = one_line(" ".join(sys.argv), 200)
    text = f"process {os.getpid()} on {platform.node()} ({command})\n"
    os.truncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, text.encode("utf-8", "replace"))
    return descriptor
