"""Runs programs in forked processes, so that torch is imported once, and judges how they end."""

import hashlib
import os
import resource
import runpy
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 60.0  # after which a case is ended and has not held
UNEXPECTED = ("Traceback (most recent call last)", "unexpected error")


@dataclass
class Done:
    """How a process ended."""

    code: int  # negative: the signal that ended it
    out: str
    err: str
    seconds: float
    megabytes: float  # that it took beyond what it was forked with


@dataclass(frozen=True)
class Case:
    """One fault. ``prepare`` gets an empty folder, which it may fill, and returns the command's
    words, the program first."""

    name: str
    prepare: Callable[[Path], list[str]]
    may_succeed: bool = False  # an odd input that is none to refuse
    may_change: frozenset[str] = frozenset()  # names of files that the command may write anew
    most_seconds: float = SECONDS
    most_megabytes: float = float("inf")
    watched: tuple[Path, ...] = field(default=())  # beside the case's folder


def run_forked(action: Callable[[], object], folder: Path, seconds: float = SECONDS) -> Done:
    """Run ``action`` in a forked process of a session of its own; its output goes to files of
    ``folder``."""
    out, err = folder / "stdout", folder / "stderr"
    started = time.monotonic()
    if (pid := os.fork()) == 0:
        _child(action, out, err)
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() - started > seconds:
            _end(pid)
        time.sleep(0.002)
    took = time.monotonic() - started
    _end(pid)  # loading workers, if it left any
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in (out, err)]
    code = os.waitstatus_to_exitcode(status)
    return Done(code, *texts, took, (usage.ru_maxrss - _baseline()) / 1024)


def _child(action: Callable[[], object], out: Path, err: Path) -> None:
    code = 1
    try:
        os.setsid()
        for number, path, flags in ((0, Path("/dev/null"), os.O_RDONLY),
                                    (1, out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
                                    (2, err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)):  # fmt: skip
            os.dup2(os.open(path, flags, 0o644), number)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)
        action()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 0 if left.code is None else 1
        if isinstance(left.code, str):
            print(left.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _end(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _baseline() -> int:
    """Kilobytes that a child has at its start: this process's."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


def program(words: list[str]) -> Callable[[], object]:
    """An action that runs a program of the project as its command line does: ``train.py ...`` or
    ``-m module ...``."""

    def action() -> None:
        os.chdir(ROOT)
        if words[0] == "-m":
            sys.argv = [words[1], *words[2:]]
            runpy.run_module(words[1], run_name="__main__")
        else:
            sys.argv = list(words)
            sys.path.insert(0, str((ROOT / words[0]).parent))
            runpy.run_path(str(ROOT / words[0]), run_name="__main__")

    return action


def snapshot(folders: Iterable[Path]) -> dict[Path, str]:
    """What every file is, and holds; a device or a link is told by its kind."""
    found = {}
    for folder in folders:
        for path in [folder, *sorted(folder.rglob("*"))] if folder.is_dir() else [folder]:
            if path.is_symlink():
                found[path] = f"link to {path.readlink()}"
            elif path.is_file():
                found[path] = hashlib.sha256(path.read_bytes()).hexdigest()
            elif path.exists():
                found[path] = "folder" if path.is_dir() else "other"
    return found


def judge(case: Case, folder: Path, streams: Path) -> str | None:
    """Run a case in its own ``folder``; what did not hold, or None."""
    words = case.prepare(folder)
    folders = (folder, *case.watched)
    before = snapshot(folders)
    done = run_forked(program(words), streams, case.most_seconds + 20)
    after = snapshot(folders)
    lost = [
        path
        for path, state in before.items()
        if after.get(path) != state and path.name not in case.may_change
    ]
    if lost:
        return f"destroyed {', '.join(str(path) for path in lost[:3])}"
    if (folder / "burst").exists():
        return "ran code of a file"
    return verdict(case, done)


def verdict(case: Case, done: Done) -> str | None:
    """What was wrong with the way a process ended, or None."""
    last = done.err.strip().splitlines()[-1] if done.err.strip() else ""
    if done.code < 0:
        return f"ended by signal {-done.code}"
    if any(text in done.err for text in UNEXPECTED):
        return f"ended in a traceback: {last[:200]}"
    if done.seconds > case.most_seconds or done.megabytes > case.most_megabytes:
        return f"took {done.seconds:.1f} s and {done.megabytes:.0f} MB"
    if done.code == 0:
        return None if case.may_succeed else "was taken as if nothing were wrong"
    # check_data.py lists all that is wrong, and then how much.
    errors = [line for line in done.err.splitlines() if "error: " in line]
    if done.code not in (1, 2) or (len(errors) != 1 and not last.endswith(("problem", "problems"))):
        return f"ended with {done.code} and not one error line: {last[:200]}"
    if len(longest := max(done.err.splitlines(), key=len)) > 3000:
        return f"an error line of {len(longest):,} characters"
    return None


def run_cases(cases: Iterable[Case], work: Path) -> list[tuple[str, str | None]]:
    """Judge every case in a fresh folder: (its name, what did not hold)."""
    results = []
    streams = work / "streams"
    streams.mkdir(parents=True, exist_ok=True)
    for number, case in enumerate(cases):
        folder = work / f"case{number}"
        folder.mkdir()
        results.append((case.name, judge(case, folder, streams)))
        shutil.rmtree(folder, ignore_errors=True)
    return results
