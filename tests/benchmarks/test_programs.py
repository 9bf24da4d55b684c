"""Every program in ``benchmarks/`` runs, on sizes that tell nothing about speed."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support import ROOT, write_embeddings

HELPERS = {"literal", "measure", "splits"}  # have no command of their own
ELSEWHERE = {"families", "highlights", "pointing"}  # run on trainings, in test modules of their own
RUNS = {
    "checks": ["--images 50 --small"],
    "encoder": ["forward --batch_size 4 --repeats 1", "backward --batch_size 4 --repeats 1",
                "memory --batch_size 4"],
    "ensemble": ["--members 2 --images 100"],
    "evaluation": ["--images 5 --repeats 1"],
    "extraction": ["--pictures 1 --repeats 1 --tiny"],
    "faults": ["--share 0.001 --groups settings bombs"],
    "galleries": [],  # with embeddings of their own, below
    "growth": ["--images 20", "--images 20 --ranking"],
    "loader": ["--images 20 --workers 1 --batch_size 20 --repeats 1"],
    "open_features": ["--files 50 --grids 4"],
    "pairs": ["--images 4 --captions 10 --naive 2 --repeats 1",
              "--direction t2i --images 4 --captions 10 --naive 2 --repeats 1"],
    "products": ["--repeats 1"],
    "pairs_lhsc": ["--images 4 --captions 5 --repeats 1"],
    "ranking": ["--images 200 --repeats 1"],
    "step": ["--device cpu --batch_size 4 --precision fp32 --images 4 --repeats 1"],
}  # fmt: skip


def test_every_program_has_a_run() -> None:
    programs = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - {"__init__"}
    assert programs - HELPERS - ELSEWHERE == set(RUNS)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_program_runs_and_prints_its_figures(name: str, tmp_path: Path) -> None:
    for words in RUNS[name]:
        command = [sys.executable, f"benchmarks/{name}.py", *words.split()]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert any(sign.isdigit() for sign in done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_galleries_of_made_up_embeddings(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    sides = [generator.standard_normal((n, 8)).astype(np.float32) for n in (40, 200)]
    ids = [str(number) for number in range(40)]
    write_embeddings(tmp_path / "e.safetensors", *sides, ids)
    words = ["--embeddings", str(tmp_path / "e.safetensors"), "--work", str(tmp_path / "work")]
    words += ["--vectors", "10000", "--queries", "5", "--code", "4"]
    command = [sys.executable, "benchmarks/galleries.py", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = done.stdout.splitlines()[4:]
    assert len(rows) == 7
    assert "OPQ4_8,IVF128,PQ4np, 128 lists, best 4,000" in rows[-1]


@pytest.mark.slow
def test_the_gpu_campaign_runs_without_one() -> None:
    """So that it works the first time a card is there."""
    command = ["sh", "benchmarks/gpu.sh", "--device", "cpu", "--tiny"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 sections in " in done.stdout
    assert "Failed" not in done.stdout
    assert done.stdout.count("equal, bit for bit") == 1


def test_a_section_that_fails_is_told(monkeypatch, capsys) -> None:
    from benchmarks.gpu import __main__ as campaign

    bad = replace(campaign.SECTIONS["pairs"], tiny=["-c raise(SystemExit('no_room')) --"])
    monkeypatch.setitem(campaign.SECTIONS, "pairs", bad)
    with pytest.raises(SystemExit) as left:
        campaign.main(["--device", "cpu", "--tiny", "--sections", "pairs"])
    assert left.value.code == 1
    printed = capsys.readouterr().out
    assert "**Failed**: no_room" in printed
    assert "1 sections in 0." in printed and "failed: pairs." in printed
