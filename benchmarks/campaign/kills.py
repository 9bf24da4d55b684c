"""Kills at random moments: what is finished afterwards is what was never stopped."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from benchmarks.campaign.endings import (
    Result,
    content,
    dataset,
    ended,
    extractions,
    same_run,
    start,
)
from benchmarks.campaign.server import program, run_forked
from benchmarks.campaign.world import Shared


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
        elif problem is None and not same_run(run, whole):
            problem = "ended with other weights than an uninterrupted one"
        yield name, problem
        shutil.rmtree(run, ignore_errors=True)


def killed_extractions(shared: Shared, work: Path, count: int, seed: int) -> Iterator[Result]:
    """An extraction that is killed and run again leaves what an uninterrupted one does."""
    for name in extractions(shared, work):
        whole = work / f"{name}_whole"
        dataset(shared, whole, name)
        ok = run_forked(program(extractions(shared, whole)[name]), work)
        assert ok.code == 0, ok.err
        for number in range(count):
            generator = np.random.default_rng((seed, number))
            folder = work / f"{name}{number}"
            dataset(shared, folder, name)
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
