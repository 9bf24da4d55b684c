"""A slice of the campaign of faults; all of it is python benchmarks/faults.py."""

import subprocess
import sys

from tests.support import ROOT

QUICK = ["paths", "outputs that are inputs", "settings", "fields", "texts", "bombs",
         "mutated files"]  # fmt: skip


def test_a_slice_of_it_holds():
    words = ["benchmarks/faults.py", "--share", "0.006", "--seed", "1", "--groups", *QUICK]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    *_, last = done.stdout.splitlines()
    held, _, tried = last.split()[1:]
    assert held == tried
    assert int(tried) > 50
