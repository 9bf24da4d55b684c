"""Killed or signalled and resumed is uninterrupted, and a signal ends the command cleanly."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from lib.checkpoint import load_checkpoint
from lib.training.loop import Run
from lib.training.signals import Stopped, StopSignal
from tests.support import ROOT, TRAIN, fail, fit, run, same, succeed


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted(settings, tmp_path):
    """SIGKILL in the middle, by the command line, and a second life with other workers."""
    longer = [*settings, "train.epochs=4"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    succeed(*TRAIN, *longer, f"run.out={whole}")
    command = ("python", "-m", "tests.training.killed", 17, *TRAIN[2:])
    done = run(*command, *longer, f"run.out={killed}")
    assert done.returncode == -signal.SIGKILL
    assert load_checkpoint(killed / "checkpoint.pth").progress["updates"] == 14  # two epochs
    succeed(*TRAIN, *longer, "data.workers=2", f"run.out={killed}", "--resume")
    same(*(load_checkpoint(out / "checkpoint.pth") for out in (whole, killed)))
    for out in (whole, killed):
        shutil.rmtree(out / "tensorboard")


class SignalledRun(Run):
    """Sends a real signal to itself before update ``at``, or in validation."""

    def arrange(self, signum, at):
        self.signum, self.at = signum, at
        return self

    def _step(self, images, texts):
        if self.progress["updates"] == self.at:
            signal.raise_signal(self.signum)
        return super()._step(images, texts)

    def _validate(self):
        if self.at == "validation" and self.progress["epoch"] == 1:
            signal.raise_signal(self.signum)
        return super()._validate()


@pytest.mark.parametrize(
    ("signum", "at", "loss"),
    [
        (signal.SIGTERM, 2, "triplet"),
        (signal.SIGINT, 10, "infonce"),  # whose temperature has learned by then
        (signal.SIGTERM, "validation", "triplet"),
    ],
)
def test_stopped_and_resumed_equals_uninterrupted(config, tmp_path, signum, at, loss):
    words = (f"train.loss={loss}", "data.noise_ratio=0.2")
    whole = fit(config(f"run.out={tmp_path / 'whole'}", *words))
    before = signal.getsignal(signal.SIGINT)  # ignored where the tests run in the background
    stopped = SignalledRun(config(*words), False, False).arrange(signum, at)
    with pytest.raises(Stopped, match="--resume") as stop:
        stopped.fit(["test"])
    assert stop.value.signum == signum
    saved = load_checkpoint(stopped.run_dir.last).progress
    assert saved["updates"] == (14 if at == "validation" else at + 1)
    assert signal.getsignal(signal.SIGINT) is before
    resumed = fit(config(*words), resume=True)
    same(*(load_checkpoint(run.run_dir.last) for run in (whole, resumed)))
    same(*(load_checkpoint(run.run_dir.best) for run in (whole, resumed)))
    log = resumed.run_dir.log.read_text()
    assert ("loss not known, all steps were taken before the stop, dev" in log) == (
        at == "validation"
    )


def test_a_signal_ends_the_command_cleanly(settings, tmp_path):
    """The whole process group gets SIGINT, workers included, as Ctrl-C in a terminal sends it."""
    out = tmp_path / "run"
    command = [sys.executable, *TRAIN[1:], *settings, "data.workers=2", "train.epochs=500"]
    with subprocess.Popen(
        [*command, f"run.out={out}"], cwd=ROOT, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        deadline = time.time() + 120
        while not (out / "checkpoint.pth").exists() and time.time() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        printed, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume resumes the run" in printed + errors
    assert "Traceback" not in errors
    assert load_checkpoint(out / "checkpoint.pth").training is not None


def test_what_a_signal_does_to_the_loader_is_not_told_as_an_error(monkeypatch):
    """Its workers may have been ended by the same signal."""

    def batches():
        yield 1
        raise RuntimeError("DataLoader worker is killed by signal: Terminated")

    with pytest.raises(RuntimeError, match="DataLoader worker"):
        list(StopSignal().guard(batches()))
    stop, seen = StopSignal(), []
    with pytest.raises(Stopped):
        for batch in stop.guard(batches()):
            seen.append(batch)
            stop.requested = signal.SIGTERM
    assert seen == [1]


def test_the_same_signal_twice_interrupts():
    stop = StopSignal()
    stop._handle(signal.SIGINT, None)
    stop._handle(signal.SIGTERM, None)  # another one changes what is told
    assert stop.requested == signal.SIGTERM
    with pytest.raises(KeyboardInterrupt):
        stop._handle(signal.SIGTERM, None)


def test_what_torchrun_passes_on_is_no_second_signal(monkeypatch):
    """A cluster's manager tells every process, and torchrun tells its own once more."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "run")
    stop = StopSignal()
    for _ in range(2):
        stop._handle(signal.SIGTERM, None)
    assert stop.requested == signal.SIGTERM
    stop._handle(signal.SIGINT, None)
    with pytest.raises(KeyboardInterrupt):
        stop._handle(signal.SIGINT, None)


@pytest.mark.parametrize(
    "signum", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_to_the_whole_group_saves(settings, tmp_path, signum):
    """Loading workers get it too, and go on until the run has saved."""
    out = tmp_path / "run"
    words = [*TRAIN[1:], *settings, "data.workers=2", "train.epochs=100000", f"run.out={out}"]
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", f"import signal; {DEFAULT}; import sys, train; train.main()",
             *words[1:]],
            cwd=ROOT, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + 120
    while "epoch 0" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signum)
    assert process.wait(60) == 128 + signum, log.read_text()
    assert "Traceback" not in log.read_text()
    assert f"stopped by signal {int(signum)}" in log.read_text()
    assert load_checkpoint(out / "checkpoint.pth").progress["updates"] > 0


DEFAULT = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # ignored in the background


@pytest.mark.slow
def test_a_loading_worker_that_is_killed_ends_the_run_in_one_line(settings, tmp_path):
    """As the system does where memory runs out."""
    kills = """
import os, signal, sys
import train
from lib.data.dataset import TrainingPairs
plain = TrainingPairs.__getitem__

def item(self, key):
    if key[0] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(self, key)

TrainingPairs.__getitem__ = item
train.main()
"""
    words = [*TRAIN[2:], *settings, "data.workers=1", f"run.out={tmp_path / 'run'}"]
    error = fail("python", "-c", kills, *words)
    assert "error: DataLoader worker (pid" in error
    assert "take less memory" in error
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pth").progress["epoch"] == 1


def test_work_that_changes_nothing_stops_between_two_pieces(monkeypatch):
    stop, seen = StopSignal(), []
    with pytest.raises(Stopped):
        for piece in stop.between(range(9)):
            seen.append(piece)
            if piece == 2:
                stop._handle(signal.SIGTERM, None)
    assert seen == [0, 1, 2]
    monkeypatch.setattr("lib.training.signals.world_size", lambda: 2)
    assert list(stop.between(range(9))) == list(range(9))  # all ranks finish it together


def test_a_forked_worker_answers_no_signal(monkeypatch):
    stop = StopSignal()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    stop._handle(signal.SIGTERM, None)
    assert stop.requested is None


@pytest.mark.slow
def test_a_signal_to_every_process_saves(settings, tmp_path):
    """As pkill -f and service managers send it: to the loading workers one by one."""
    out, log = tmp_path / "run", tmp_path / "log"
    words = [*TRAIN[1:], *settings, "data.workers=2", "train.epochs=100000", f"run.out={out}"]
    with log.open("w") as file:
        process = subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=file, stderr=file)
    deadline = time.monotonic() + 120
    while "epoch 0" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout
    for pid in [*map(int, found.split()), process.pid]:
        with contextlib.suppress(ProcessLookupError):  # a worker of the epoch before
            os.kill(pid, signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM, log.read_text()
    assert "stopped by signal 15" in log.read_text()
    assert load_checkpoint(out / "checkpoint.pth").progress["updates"] > 0


def test_a_lost_batch_is_no_end_of_the_work(monkeypatch):
    """With several ranks a signal does not stop it: half an encoding would pass for a whole one."""

    def pieces():
        yield 1
        raise RuntimeError("DataLoader worker exited unexpectedly")

    stop = StopSignal()
    stop.requested = signal.SIGTERM
    with pytest.raises(Stopped):
        list(stop.between(pieces()))
    monkeypatch.setattr("lib.training.signals.world_size", lambda: 2)
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        list(stop.between(pieces()))
