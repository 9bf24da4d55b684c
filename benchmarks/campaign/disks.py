"""Full disks, by a limit of the process and by a small file system."""

import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.campaign.endings import Result, content, dataset, extractions
from benchmarks.campaign.server import Case, program, run_forked, verdict
from benchmarks.campaign.world import Shared


def full_disks(shared: Shared, work: Path, count: int) -> Iterator[Result]:
    """A disk that is full at some byte: an error line, and every file from before untouched; with
    room again, the command ends as if nothing had been."""

    def words_for(name: str, folder: Path) -> list[str]:
        if name == "train":
            return shared.train(folder / "run")
        if name == "eval":
            return shared.evaluate(shared.checkpoint, "--save_results", folder / "r.safetensors",
                                   "--save_embeddings", folder / "e.safetensors", "--json",
                                   folder / "r.json")  # fmt: skip
        if name == "convert_checkpoint":
            return ["scripts/convert_checkpoint.py", str(shared.checkpoint),
                    str(folder / "c.pth")]  # fmt: skip
        if name == "scenes":
            return ["-m", "lib.demo.scenes", "--train", "4", "--dev", "1", "--test", "1", "--out",
                    str(folder / "world")]  # fmt: skip
        return extractions(shared, folder)[name]

    mounts = [False, *([True] if _can_mount(work) else [])]
    for name in ("train", "eval", "convert_checkpoint", "scenes", *extractions(shared, work)):
        for mounted in mounts:
            for number in range(count):
                size = int(2 ** np.linspace(9, 19, count)[number]) if count > 1 else 20_000
                folder = work / f"{name}{number}"
                folder.mkdir()
                if mounted:
                    _mount(folder, max(size, 1 << 16) + _needed(shared, name))
                dataset(shared, folder, name)
                streams = work / "streams"
                streams.mkdir(exist_ok=True)

                def limited(size: int = size, mounted: bool = mounted, name: str = name,
                            folder: Path = folder) -> None:  # fmt: skip
                    if not mounted:
                        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
                    program(words_for(name, folder))()

                before = content(folder)
                # The streams are not of the full disk.
                done = run_forked(limited, streams)
                problem = verdict(Case(name, lambda _: [], may_succeed=True), done)
                if any(content(folder).get(k) != v for k, v in before.items()):
                    problem = "changed files from before"
                where = "a tmpfs" if mounted else "RLIMIT_FSIZE"
                yield f"{name}, {where} of {size:,} bytes", problem
                if mounted:
                    subprocess.run(["umount", "-l", folder], check=False)
                shutil.rmtree(folder, ignore_errors=True)


def _needed(shared: Shared, name: str) -> int:
    if name != "pack_features":
        return 0
    return sum(path.stat().st_size + 4096 for path in shared.data.rglob("*"))


def _mount(folder: Path, size: int) -> bool:
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    return subprocess.run(words, capture_output=True).returncode == 0


def _can_mount(work: Path) -> bool:
    """Whether this process may mount: root, outside a container that forbids it."""
    folder = work / "mount"
    folder.mkdir(exist_ok=True)
    if shutil.which("mount") is None or not _mount(folder, 1 << 20):
        return False
    subprocess.run(["umount", "-l", folder], check=False)
    return True
