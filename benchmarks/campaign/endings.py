"""Kills at random moments, races of two processes, and full disks: what is left must be whole."""

import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from benchmarks.campaign.server import Case, Done, program, run_forked, verdict
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
    from lib import files

    replace = Path.replace

    def slowly(self: Path, target: object) -> Path:
        time.sleep(seconds)
        return replace(self, target)

    Path.replace = slowly  # type: ignore[method-assign]
    assert files


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


def _dataset(shared: Shared, folder: Path, name: str) -> None:
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


def _same_run(run: Path, whole: Path) -> bool:
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


def killed_trainings(shared: Shared, work: Path, count: int, seed: int) -> Iterator[Result]:
    """A training that is killed or signalled twice at random and resumed ends as if it never was;
    a signal saves, whether it reaches the process or its group."""
    whole = work / "whole"
    ok = run_forked(program(shared.train(whole, "train.epochs=3")), work)
    assert ok.code == 0, ok.err
    for number in range(count):
        generator = np.random.default_rng((seed, number))
        signum = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[number % 3]
        group, workers = bool(generator.integers(2)), int(generator.integers(3))
        run, name = work / f"run{number}", f"training {number}, {signum.name}"
        name += f" to its {'group' if group else 'process'}, {workers} workers"
        words = shared.train(run, "train.epochs=3", f"data.workers={workers}")
        problem = None
        for _ in range(2):
            flags = ["--resume"] if (run / "checkpoint.pth").exists() else []
            if not flags and run.exists():
                flags = ["--overwrite"]
            pid = start([*words, *flags], work, slow=0.02)
            time.sleep(generator.uniform(0.1, 0.6 * ok.seconds + 0.5))
            with suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(pid, signum)
            done = ended(pid, work)
            if signum != signal.SIGKILL and "Traceback" in done.err:
                problem = f"a signal ended it with a traceback: {done.err.strip()[-150:]}"
            started = "epoch 0" in done.err + done.out
            if signum != signal.SIGKILL and started and not (run / "checkpoint.pth").exists():
                problem = "a signal in the first epochs was not answered with a checkpoint"
        flags = ["--resume"] if (run / "checkpoint.pth").exists() else []
        if not flags and run.exists():
            flags = ["--overwrite"]
        done = run_forked(program([*words, *flags]), work)
        if done.code:
            problem = f"cannot be finished: {done.err.strip()[-200:]}"
        elif problem is None and not _same_run(run, whole):
            problem = "ended with other weights than an uninterrupted one"
        yield name, problem
        shutil.rmtree(run, ignore_errors=True)


def killed_extractions(shared: Shared, work: Path, count: int, seed: int) -> Iterator[Result]:
    """An extraction that is killed and run again leaves what an uninterrupted one does."""
    for name in extractions(shared, work):
        whole = work / f"{name}_whole"
        _dataset(shared, whole, name)
        ok = run_forked(program(extractions(shared, whole)[name]), work)
        assert ok.code == 0, ok.err
        for number in range(count):
            generator = np.random.default_rng((seed, number))
            folder = work / f"{name}{number}"
            _dataset(shared, folder, name)
            words = extractions(shared, folder)[name]
            signum = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[number % 3]
            pid = start(words, work, slow=0.05)
            time.sleep(generator.uniform(0.05, ok.seconds + 1))
            with suppress(ProcessLookupError):
                os.killpg(pid, signum)
            done = ended(pid, work)
            problem = None
            if signum == signal.SIGINT and "Traceback" in done.err:
                problem = f"Ctrl-C ended in a traceback: {done.err.strip()[-150:]}"
            again = run_forked(program(words), work)
            if again.code:
                problem = f"cannot be finished: {again.err.strip()[-200:]}"
            elif content(folder) != content(whole):
                problem = "left other files than an uninterrupted one"
            yield f"{name} {number}, {signum.name}", problem
            shutil.rmtree(folder, ignore_errors=True)


def races(shared: Shared, work: Path, count: int) -> Iterator[Result]:
    """Two processes with one output: one is refused and told who holds it, or both leave the same
    whole files."""
    names = [*extractions(shared, work), "train", "prepare_captions"]
    for name in names:

        def words_for(folder: Path, name: str = name) -> list[str]:
            if name == "train":
                return shared.train(folder / "run")
            if name == "prepare_captions":
                table = str(shared.root / "karpathy.json")
                out = str(folder / "out")
                return ["scripts/prepare_captions.py", "--karpathy", table, "--out", out]
            return extractions(shared, folder)[name]

        whole = work / f"{name}_whole"
        _dataset(shared, whole, name)
        ok = run_forked(program(words_for(whole)), work)
        assert ok.code == 0, ok.err
        for number in range(count):
            folder = work / f"{name}{number}"
            _dataset(shared, folder, name)
            streams = [work / f"{name}_{which}" for which in (0, 1)]
            for stream in streams:
                stream.mkdir(exist_ok=True)
            pids = [start(words_for(folder), stream, slow=0.05) for stream in streams]
            done = [ended(pid, s) for pid, s in zip(pids, streams, strict=True)]
            codes = [one.code for one in done]
            refused = [one for one in done if one.code == 1 and "is in use" in one.err]
            problem = None
            if any("Traceback" in one.err for one in done):
                last = next(one.err for one in done if "Traceback" in one.err)
                problem = f"ended in a traceback: {last.strip()[-150:]}"
            elif 0 not in codes or (codes.count(0) == 1 and not refused):
                problem = f"ended with {codes}: {done[1].err.strip()[-150:]}"
            elif name == "train" and codes == [0, 0]:
                problem = "both trained, and one was lost"
            elif name == "train" and not _same_run(folder / "run", whole / "run"):
                problem = "left another run"
            elif name != "train" and content(folder) != content(whole):
                problem = "left other files than one alone"
            yield f"two of {name}, {number}", problem
            shutil.rmtree(folder, ignore_errors=True)


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
                _dataset(shared, folder, name)
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


GROUPS: dict[str, Callable[..., Iterator[Result]]] = {
    "killed trainings": killed_trainings,
    "killed extractions": killed_extractions,
    "races": races,
    "full disks": full_disks,
}
