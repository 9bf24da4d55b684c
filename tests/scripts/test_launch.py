"""Several processes, several machines, and a job that Slurm stops: real processes, on this machine,
with stand-ins for Slurm's own commands."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lib.checkpoint import load_checkpoint
from tests.support import ROOT, run, same, succeed


@pytest.fixture(scope="module")
def environment():
    """An active environment that has the pins, as scripts/setup.sh finds it."""
    folder = str(Path(sys.executable).parent)
    path = folder + os.pathsep + os.environ["PATH"]
    return os.environ | {"PATH": path, "CUDA_VISIBLE_DEVICES": ""}


def launched(environment, **settings):
    """What ``LAUNCH`` becomes, or the error."""
    command = ("sh", "-c", '. scripts/setup.sh; echo "$LAUNCH"')
    done = run(*command, env=environment | settings)
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip()


def test_what_starts_a_training(environment):
    assert launched(environment) == "python"
    assert launched(environment, PROCESSES="4") == (
        "python scripts/launch.py --standalone --nproc_per_node 4"
    )
    several = {"NODES": "2", "RENDEZVOUS": "node1:29500", "RUN_ID": "7"}
    assert launched(environment, PROCESSES="8", **several) == (
        "python scripts/launch.py --nnodes 2 --nproc_per_node 8 --rdzv_backend c10d "
        "--rdzv_endpoint node1:29500 --rdzv_id 7"
    )
    for wrong in ({"PROCESSES": "0"}, {"NODES": "two"}, {"NODES": "2"},
                  {"NODES": "2", "RENDEZVOUS": "node1"}, {"NODES": "2", "RENDEZVOUS": "node1:x"},
                  {"NODES": "2", "RENDEZVOUS": ":29500"}, several | {"RUN_ID": "a b"}):  # fmt: skip
        told = launched(environment, **wrong)
        assert told.startswith("error: ") and len(told.splitlines()) == 1, told


@pytest.mark.slow
def test_a_failing_process_is_told_without_a_traceback(environment, tmp_path):
    done = run(
        "sh", "scripts/eval.sh", "coco_region", tmp_path, env=environment | {"PROCESSES": "2"}
    )
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert {line.partition(": holds no")[0] for line in lines} == {f"error: {tmp_path}"}, lines


# Without its option; a SIGTERM goes to the launcher and to the processes that it has started.
SRUN = """shift
"$@" &
launcher=$!
trap 'kill -TERM "$launcher" $(pgrep -P "$launcher")' TERM
while :; do
    wait "$launcher" && exit 0 || status=$?
    kill -0 "$launcher" 2>/dev/null || exit "$status"
done"""


@pytest.mark.slow
def test_machines_that_do_not_meet_are_told_in_a_line(environment):
    nodes = {"NODES": "2", "RENDEZVOUS": "no-such-host.invalid:29500"}
    done = run("sh", "scripts/train.sh", "scenes_region", env=environment | nodes, timeout=250)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: the processes could not meet (")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def words_of(settings, out):
    return [*settings, f"run.out={out}", "train.epochs=2"]


@pytest.mark.slow
def test_two_machines_are_one_training(settings, environment, tmp_path):
    """Two launchers that meet at an address, a process each: the weights are those of two
    processes that one launcher starts."""
    command = ("sh", "scripts/train.sh", "scenes_region")
    both = {"NODES": "2", "RENDEZVOUS": f"127.0.0.1:{free_port()}"}
    world = next(s for s in settings if s.startswith("data.root=")).partition("=")[2]
    env = environment | {"DATA_PATH": world}
    nodes = [
        subprocess.Popen(
            [*command, *words_of(settings, tmp_path / "nodes")], cwd=ROOT, env=env | both,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    printed = [node.communicate(timeout=200)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], printed
    assert sum("done: best dev rSum" in text for text in printed) == 1  # rank 0 alone prints
    succeed(*command, *words_of(settings, tmp_path / "one"), env=env | {"PROCESSES": "2"})
    ours, theirs = (load_checkpoint(tmp_path / n / "checkpoint.pth") for n in ("nodes", "one"))
    same(ours, theirs)


@pytest.mark.slow
def test_a_job_that_slurm_stops_resumes(settings, environment, tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    stand_ins = {
        "srun": SRUN,
        "scontrol": f'[ "$1" = show ] && echo localhost || echo "$@" >> {tmp_path}/requeued',
    }
    for name, body in stand_ins.items():
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    copy = tmp_path / "slurm_script"  # Slurm runs a copy, from another folder
    copy.write_text((ROOT / "scripts" / "slurm.sh").read_text())
    world = next(s for s in settings if s.startswith("data.root=")).partition("=")[2]
    env = environment | {
        "PATH": f"{tools}{os.pathsep}{environment['PATH']}", "SLURM_JOB_ID": "42",
        "SLURM_SUBMIT_DIR": str(ROOT), "SLURM_JOB_NODELIST": "node1", "DATA_PATH": world,
    }  # fmt: skip
    out = tmp_path / "run"

    def job(epochs):
        words = [*settings, f"run.out={out}", f"train.epochs={epochs}"]
        return subprocess.Popen(
            ["sh", copy, "scenes_region", *words], cwd=tmp_path, env=env,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    env["SLURM_GPUS_ON_NODE"] = "2"  # two processes, all of which get the signal, as of srun
    first = job(1000)
    while not (out / "checkpoint.pth").exists():
        assert first.poll() is None, first.communicate()[0]
        time.sleep(0.1)
    first.send_signal(signal.SIGUSR1)
    printed = first.communicate(timeout=100)[0]
    assert first.returncode != 0
    assert "stopped by signal 15" in printed and "goes back to the queue" in printed, printed
    assert (tmp_path / "requeued").read_text() == "requeue 42\n"
    done = load_checkpoint(out / "checkpoint.pth").progress["epoch"]
    second = job(done + 1)
    printed = second.communicate(timeout=100)[0]
    assert second.returncode == 0, printed
    assert f"resumed {out}" in printed and "done: best dev rSum" in printed
    assert (tmp_path / "requeued").read_text() == "requeue 42\n"  # a finished job stays finished


def test_slurm_s_script_says_how_to_submit_it(environment):
    env = {name: value for name, value in environment.items() if not name.startswith("SLURM")}
    done = run("sh", "scripts/slurm.sh", "coco_region", env=env)
    assert done.returncode == 2
    assert "sbatch scripts/slurm.sh DATASET_FEATURE" in done.stderr
