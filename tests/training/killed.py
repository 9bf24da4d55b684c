"""train.py, killed with SIGKILL before an update:

python -m tests.training.killed UPDATE --config F ...
"""

import os
import signal
import sys

import train
from lib.training.loop import Run


def arrange(update: int) -> None:
    """The next run of this process dies when so many updates are done."""
    plain = Run._step

    def step(run: Run, *batch: object) -> object:
        if run.progress["updates"] == update:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(run, *batch)

    Run._step = step


if __name__ == "__main__":
    arrange(int(sys.argv.pop(1)))
    train.main()
