"""scripts/ablation.py: what it refuses, and how it stops. What it prints is in test_shell.py."""

import signal
import subprocess
import sys
import time

import pytest

from lib.checkpoint import load_checkpoint
from scripts import ablation
from tests.support import ROOT, run


def refusal(*words):
    with pytest.raises(SystemExit) as left:
        ablation.main([str(word) for word in words])
    return left.value.code


def test_what_makes_no_sense_is_told_before_anything_is_made(tmp_path):
    out = ("--out", tmp_path / "out", "--data_path", tmp_path / "data")
    assert "--rows names other, expected full, no_vsem" in refusal("threeshnet", "--rows", "other")
    told = refusal("cmsei", "--rows", "full-i2t", *out)  # a version is no row of its own
    assert "--rows names full-i2t, expected full, no_vsg" in told
    assert "train.epochs" in refusal("lhsc", *out, "train.epochs=none")
    assert "run.out=x: each row has its own" in refusal("lhsc", *out, "run.out=x")
    for words in (["--jobs", "0"], ["--seeds", "-1"]):
        assert refusal("families", *words, *out) == 2
    assert list(tmp_path.iterdir()) == []
    ablation.main(["flickr8k", "--check", "train.epochs=1", *map(str, out)])
    assert list(tmp_path.iterdir()) == []


def test_every_row_s_settings_can_be_used():
    for name, table in ablation.ABLATIONS.items():
        ablation.main([name, "--check", "--rows", *ablation._names(table)])


def test_runs_of_other_settings_stay_as_they_are(tmp_path):
    ablation.keep_settings(tmp_path, ["train.epochs=1", "model.bert=here"])
    ablation.keep_settings(tmp_path, ["train.epochs=1", "model.bert=there"])
    with pytest.raises(ValueError, match=r"other settings \(train.epochs=1\)"):
        ablation.keep_settings(tmp_path, ["train.epochs=2"])


def test_a_run_that_fails_is_told_by_its_last_line(tmp_path):
    words = ("flickr8k", "--rows", "region", "--seeds", "0", "--data_path", tmp_path / "none")
    done = run("python", "scripts/ablation.py", *words, "--out", tmp_path / "out")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"{tmp_path / 'out' / 'region-0.log'}: a run failed: error: no data: neither " in line


@pytest.mark.slow
def test_when_it_is_stopped_its_runs_save(settings, world, tmp_path):
    command = [sys.executable, "scripts/ablation.py", "threeshnet", "--rows", "full", "no_vsem"]
    command += ["--seeds", "4", "--data_path", world, "--out", tmp_path, *settings]
    process = subprocess.Popen([*command, "train.epochs=1000"], cwd=ROOT)
    runs = [tmp_path / "full-4", tmp_path / "no_vsem-4"]
    while not all((folder / "checkpoint.pth").exists() for folder in runs):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    for folder in runs:
        assert "stopped by signal 15" in folder.with_suffix(".log").read_text()
        assert load_checkpoint(folder / "checkpoint.pth").training is not None
        assert not (folder / "results.json").exists()
