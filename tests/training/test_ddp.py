"""Several processes train as one, with the same loss, gradients and files, and end together."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from lib.checkpoint import load_checkpoint
from tests.support import LARGEST, ROOT, TORCHRUN, deviations, fail, succeed

CONFIG = ROOT / "configs" / "scenes_region.yaml"


@pytest.fixture(scope="module")
def step(settings, tmp_path_factory):
    """A function that takes a step in one process or two, and returns loss and gradients."""
    folder = tmp_path_factory.mktemp("step")

    def take(command, *overrides):
        out = folder / f"{len(list(folder.iterdir()))}.pth"
        plain = [*settings, f"run.out={folder / 'run'}", "train.clip=1e9", *overrides]
        succeed(*command, "tests/training/gradients.py", out, CONFIG, *plain)
        return torch.load(out, weights_only=True)

    return take


@pytest.fixture(scope="module")
def whole(step):
    return step(("python",), "train.sum_epochs=0")


def test_two_processes_are_one(step, whole):
    found = step(TORCHRUN, "train.sum_epochs=0", "train.sync_batchnorm=true")
    differing = deviations(found, whole)
    print(f"largest deviation of loss, gradients and statistics: {max(differing.values()):.1e}")
    assert max(differing.values()) < LARGEST, max(differing, key=differing.get)


@pytest.mark.slow
def test_statistics_are_each_process_s_own_by_default(step, whole):
    found = step(TORCHRUN, "train.sum_epochs=0")
    differing = deviations(found, whole)
    assert differing["image_encoder.residual.norm.weight"] > 1e-3
    assert differing["buffer image_encoder.residual.norm.running_mean"] > 1e-3


@pytest.mark.slow
def test_pieces_are_the_whole(step, whole):
    found = step(("python",), "train.sum_epochs=0", "train.micro_batch=5")
    differing = deviations(found, whole)
    print(f"largest deviation of loss and gradients in pieces of 5: {max(differing.values()):.1e}")
    assert max(differing.values()) < LARGEST, max(differing, key=differing.get)


@pytest.mark.slow
def test_masked_captions_are_those_of_all_processes(step):
    settings = ("train.sum_epochs=0", "train.mask_same_image=true", "train.sync_batchnorm=true")
    differing = deviations(step(TORCHRUN, *settings), step(("python",), *settings))
    assert max(differing.values()) < LARGEST


@pytest.mark.slow
def test_the_temperature_is_that_of_the_whole_batch(step):
    settings = ("train.loss=infonce", "train.sync_batchnorm=true", "data.noise_ratio=0.3")
    one, other = step(TORCHRUN, *settings), step(("python",), *settings)
    assert one["loss log_scale"].abs() > 1e-3
    differing = deviations(one, other)
    print(f"largest deviation: {max(differing.values()):.1e}")
    assert max(differing.values()) < LARGEST


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(settings, tmp_path):
    out = tmp_path / "run"
    words = ["train.py", "--config", CONFIG, *settings, f"run.out={out}"]
    printed = succeed(*TORCHRUN, *words, "train.epochs=1")
    for text in (printed, (out / "train.log").read_text()):
        assert text.count("epoch 0 (sum)") == 1  # the first process alone writes
    assert len(list((out / "tensorboard").iterdir())) == 1
    assert len(load_checkpoint(out / "checkpoint.pth").training["random"]) == 2
    succeed("python", *words, "train.epochs=2", "--resume")
    last = load_checkpoint(out / "checkpoint.pth")
    assert len(last.training["random"]) == 1
    assert last.progress["epoch"] == 2
    assert last.progress["updates"] == 2 * (24 * 5 // 16)
    results = [
        succeed(*command, "eval.py", "--checkpoint", out / "model_best.pth", "--data_path",
                settings[0].removeprefix("data.root="), "--dataset", "scenes", "--device", "cpu",
                "--batch_size", 3, "--workers", 0, "--json", tmp_path / f"{i}.json",
                "--save_results", tmp_path / f"{i}.safetensors")
        for i, command in enumerate((("python",), TORCHRUN))
    ]  # fmt: skip
    told = [text.replace(f"{tmp_path / str(i)}.", "") for i, text in enumerate(results)]
    assert told[0] == told[1]
    for kind in ("json", "safetensors"):
        one, other = ((tmp_path / f"{i}.{kind}").read_bytes() for i in (0, 1))
        assert one == other


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_refused(settings, tmp_path):
    words = ["train.py", "--config", CONFIG, *settings, f"run.out={tmp_path / 'run'}"]
    error = fail(*TORCHRUN, *words, "train.batch_size=15", traceback=True)
    assert "train.batch_size is 15" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_together(settings, tmp_path, signum):
    """A signal to the launcher saves; a process that dies ends the others with an error."""
    out = tmp_path / "run"
    words = [*TORCHRUN[1:], "train.py", "--config", CONFIG, *settings, f"run.out={out}"]
    log = tmp_path / "log"
    with log.open("w") as file:
        launcher = subprocess.Popen(
            [sys.executable, *map(str, words), "train.epochs=100000"],
            cwd=ROOT, stdout=file, stderr=file,
        )  # fmt: skip
    deadline = time.monotonic() + 100
    while "epoch 2" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    children = subprocess.run(
        ["pgrep", "-P", str(launcher.pid)], capture_output=True, text=True
    ).stdout.split()
    assert len(children) == 2, log.read_text()
    os.kill(launcher.pid if signum == signal.SIGTERM else int(children[1]), signum)
    assert launcher.wait(timeout=60) != 0
    text = log.read_text()
    if signum == signal.SIGTERM:
        assert "stopped by signal 15" in text
    else:
        assert "Signal 9 (SIGKILL)" in text
    assert load_checkpoint(out / "checkpoint.pth").progress["epoch"] >= 2
    assert not list(out.glob(".*"))
