"""Trains the demo's region-level and grid-level model side by side, each on half of the cores.

python -m lib.demo.train_both --data_path data --out runs/demo [section.key=value ...]

A step of such small models has many parts that one core computes while others wait: two models at
once take far less time than one after the other. What both print goes to OUT/<features>.log too."""

import signal
import sys
from functools import partial
from pathlib import Path

from lib.arguments import new_parser, path_arg
from lib.device import default_workers
from lib.errors import InputError, exit_on_error
from lib.jobs import Jobs

# Shorter than the configs' own, which ablations keep, and as good within the spread of three seeds
# (benchmarks/RESULTS.md): cells of so small grids are too few to drop any, and the sum form ends
# once both ways find most pairs.
SCHEDULES = {
    "region": ["train.epochs=6", "train.sum_epochs=2", "train.decay_epoch=4"],
    "grid": ["train.epochs=9", "train.sum_epochs=5", "train.decay_epoch=7", "features.drop=0"],
}


def train_both(data_path: Path, out: Path, overrides: list[str]) -> int:
    """Train both, replacing runs that are there; the signal that ended them, or 0. Raises
    InputError: one of them failed, which ends the other."""
    cores = default_workers(most=1000)
    at_a_time = min(cores, len(SCHEDULES))
    jobs = Jobs(at_a_time, Path.cwd(), cores // at_a_time)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, jobs.stop)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from error
    commands = []
    for features, schedule in SCHEDULES.items():
        words = ["train.py", "--config", f"configs/scenes_{features}.yaml", "--overwrite"]
        words += [f"data.root={data_path}", f"model.bert={data_path}/scenes_precomp/bert"]
        words += [f"run.out={out}/{features}", *schedule, *overrides]
        log = out / f"{features}.log"
        log.unlink(missing_ok=True)
        commands.append(partial(Jobs.command, log=log, words=words, title=features))
    jobs.run(commands)
    return jobs.stopped


def main(words: list[str] | None = None) -> None:
    """Train what the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "--data_path", type=path_arg, default=Path("data"), help="folder of scenes_precomp/"
    )
    parser.add_argument(
        "--out", type=path_arg, default=Path("runs/demo"), help="folder of both runs"
    )
    parser.add_argument("overrides", nargs="*", help="settings of both, as in train.epochs=2")
    args = parser.parse_args(words)
    with exit_on_error():
        if signum := train_both(args.data_path, args.out, args.overrides):
            sys.exit(128 + signum)


if __name__ == "__main__":
    main()
