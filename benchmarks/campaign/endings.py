"""Programs that are started, stopped and compared: what kills, races and full disks share."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.campaign.server import Done, program
from benchmarks.campaign.world import Shared

Result = tuple[str, str | None]
QUICK = ("--device", "cpu", "--batch_size", "2")


def start(words: list[str], folder: Path, slow: float = 0.0) -> int:
    """A forked program that goes on beside this process; its number."""
    if pid := os.fork():
        return pid
    from benchmarks.campaign import server

    def action() -> None:
        if slow:
            _slow_down(slow)
        program(words)()

    server._child(action, folder / "stdout", folder / "stderr")
    raise AssertionError


def _slow_down(seconds: float) -> None:
    """Let every written file take a while, so that a kill or a race meets it half done."""
    replace = Path.replace

    def slowly(self: Path, target: object) -> Path:
        time.sleep(seconds)
        return replace(self, target)

    Path.replace = slowly  # type: ignore[method-assign]


def ended(pid: int, folder: Path, seconds: float = 120) -> Done:
    """Wait for a started program."""
    started = time.monotonic()
    while True:
        done, status, _ = os.wait4(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() - started > seconds:
            os.killpg(pid, signal.SIGKILL)
        time.sleep(0.005)
    texts = [(folder / n).read_text(errors="replace") for n in ("stdout", "stderr")]
    return Done(os.waitstatus_to_exitcode(status), *texts, time.monotonic() - started, 0)


def extractions(shared: Shared, folder: Path) -> dict[str, list[str]]:
    """Commands that write a dataset's arrays or files, a minute's work made small."""
    data, panoptic = str(folder), shared.root / "panoptic"
    pictures = ["--images", str(shared.data / "images"), *QUICK, "--workers", "0"]
    return {
        "convert_panoptic": ["scripts/convert_panoptic.py", "--json",
                             str(panoptic / "panoptic.json"), "--png", str(panoptic / "png"),
                             "--data", data, "--workers", "0"],
        "extract_grid": ["scripts/extract_grid.py", "--data", data, "--weights", "random",
                         "--shortest", "32", "--longest", "32", *pictures],
        "extract_segmentation": ["scripts/extract_segmentation.py", "--data", data, "--model",
                                 "random", *pictures],
        "extract_regions": ["scripts/extract_regions.py", "--data", data, "--weights", "random",
                            "--detector", "random", "--shortest", "64", "--longest", "64",
                            "--regions", "4", *pictures],
        "pack_features": ["scripts/pack_features.py", "--config", str(shared.run / "config.yaml"),
                          f"data.root={folder}", "features.type=grid", "features.folder=grids",
                          "--out", "packed_again", "--workers", "0"],
    }  # fmt: skip


def dataset(shared: Shared, folder: Path, name: str) -> None:
    if name == "pack_features":
        shutil.copytree(shared.data, folder / "scenes_precomp")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        ids = (shared.data / "test_ids.txt").read_text().split()
        count = 1 if name == "extract_regions" else len(ids)  # a detector is slow
        (folder / "test_ids.txt").write_text("\n".join(ids[:count]) + "\n")


def content(folder: Path) -> dict[str, bytes]:
    """Every visible file that matters: logs, curves and times aside."""
    skipped = ("stdout", "stderr", "train.log", "environment.json", "config.yaml")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in skipped and "tensorboard" not in path.parts
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }  # fmt: skip


def same_run(run: Path, whole: Path) -> bool:
    import torch

    def flat(value: object) -> Iterator[object]:
        if isinstance(value, dict):
            for key in sorted(value, key=str):
                yield from flat(value[key])
        elif isinstance(value, list | tuple):
            for item in value:
                yield from flat(item)
        else:
            yield value

    for name in ("checkpoint.pth", "model_best.pth"):
        one, other = (torch.load(out / name, weights_only=True) for out in (run, whole))
        for part in ("model", "training", "progress"):
            for a, b in zip(flat(one[part]), flat(other[part]), strict=True):
                equal = torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
                if not equal:
                    return False
    return True
