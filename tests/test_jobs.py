"""Programs side by side: their logs, their order, and one that fails."""

import pytest

from lib.errors import InputError
from lib.jobs import Jobs


def job(log, code):
    return lambda jobs: jobs.command(log, ["-c", code])


def test_each_has_its_log_and_one_thread(tmp_path):
    code = "import os; print(os.environ['OMP_NUM_THREADS'], os.getcwd())"
    jobs = [job(tmp_path / name, code) for name in ("a", "b", "c")]
    Jobs(2, tmp_path).run(jobs)
    for name in ("a", "b", "c"):
        assert (tmp_path / name).read_text() == f"1 {tmp_path}\n"


def test_one_that_fails_ends_the_others(tmp_path):
    failing = job(tmp_path / "bad", "import sys; sys.exit('error: no data')")
    waiting = job(tmp_path / "long", "import time; time.sleep(300); print(1)")
    later = job(tmp_path / "later", "print('ran')")
    with pytest.raises(InputError, match=r"bad: a run failed: error: no data$"):
        Jobs(2, tmp_path).run([waiting, failing, later])
    assert (tmp_path / "long").read_text() == ""  # it was ended, not waited for
    assert not (tmp_path / "later").exists()
