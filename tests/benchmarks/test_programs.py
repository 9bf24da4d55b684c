"""Every program in ``benchmarks/`` runs, on sizes that tell nothing about speed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

HELPERS = {"literal", "measure", "splits"}  # have no command of their own
ELSEWHERE = {"families", "highlights", "pointing"}  # run on trainings, in test modules of their own
RUNS = {
    "checks": ["--images 50 --small"],
    "encoder": ["forward --batch_size 4 --repeats 1", "backward --batch_size 4 --repeats 1",
                "memory --batch_size 4"],
    "ensemble": ["--members 2 --images 100"],
    "evaluation": ["--images 5 --repeats 1"],
    "extraction": ["--pictures 1 --repeats 1 --extractors grid regions"],
    "faults": ["--share 0.001 --groups settings bombs"],
    "growth": ["--images 20"],
    "loader": ["--images 20 --workers 1 --batch_size 20 --repeats 1"],
    "open_features": ["--files 50 --grids 4"],
    "pairs": ["--images 4 --captions 10 --naive 2 --repeats 1",
              "--direction t2i --images 4 --captions 10 --naive 2 --repeats 1"],
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
