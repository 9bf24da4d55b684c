"""Trains the demo's region-level and grid-level model side by side, each on half of the cores, and
evaluates each on the test split as soon as it is trained.

python -m lib.demo.both --data_path data --out runs/demo [section.key=value ...]

A step of such small models has many parts that one core computes while others wait: two models at
once take far less time than one after the other. OUT/<features>.log keeps what is printed of a
training, OUT/<features>.evaluation.log what its evaluation says. A finished training is kept, an
interrupted one is resumed; --overwrite starts over."""

import sys
from functools import partial
from pathlib import Path

from lib.arguments import new_parser, path_arg
from lib.device import default_workers
from lib.errors import InputError, exit_on_error
from lib.jobs import Jobs

# Unlike the configs' own, which ablations keep, the sum form ends early: the hardest negatives
# teach more (benchmarks/RESULTS.md). So the grid needs an epoch less; after 3 epochs of the sum
# form, one of two seeds collapsed.
SCHEDULES = {
    "region": ["train.sum_epochs=2"],
    "grid": ["train.epochs=9", "train.sum_epochs=5", "train.decay_epoch=7"],
}


def run_both(data_path: Path, out: Path, overrides: list[str], overwrite: bool = False) -> int:
    """Train and evaluate both, resuming runs that are there unless ``overwrite``; the signal that
    ended them, or 0. Raises InputError: one of them failed, which ends the other."""
    cores = default_workers(most=1000)
    at_a_time = min(cores, len(SCHEDULES))
    threads = cores // at_a_time
    jobs = Jobs(at_a_time, Path.cwd(), threads)
    if threads == 1:  # a loading process would take its core from the training
        overrides = ["data.workers=0", *overrides]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from error
    with jobs.stopped_by_signals():
        about = (data_path, out, overrides, "--overwrite" if overwrite else "--resume")
        jobs.run([partial(_run_one, features, *about) for features in SCHEDULES])
    return jobs.stopped


def _run_one(
    features: str, data_path: Path, out: Path, overrides: list[str], start: str, jobs: Jobs
) -> None:
    run, logs = out / features, (out / f"{features}.log", out / f"{features}.evaluation.log")
    for log in logs:
        log.unlink(missing_ok=True)
    words = ["train.py", "--config", f"configs/scenes_{features}.yaml", start]
    words += [f"data.root={data_path}", f"model.bert={data_path}/scenes_precomp/bert"]
    words += [f"run.out={run}", *SCHEDULES[features], *overrides]
    jobs.command(logs[0], words, title=features)
    words = ["eval.py", "--checkpoint", f"{run}/model_best.pth", "--data_path", str(data_path)]
    words += ["--dataset", "scenes", "--json", f"{run}/results.json"]
    words += ["--save_results", f"{run}/results.safetensors"]
    words += ["--save_embeddings", f"{run}/embeddings.safetensors"]
    jobs.command(logs[1], words)


def main(words: list[str] | None = None) -> None:
    """Train and evaluate what the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "--data_path", type=path_arg, default=Path("data"), help="folder of scenes_precomp/"
    )
    parser.add_argument(
        "--out", type=path_arg, default=Path("runs/demo"), help="folder of both runs"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="discard runs that are there, and start over"
    )
    parser.add_argument("overrides", nargs="*", help="settings of both, as in train.epochs=2")
    args = parser.parse_args(words)
    with exit_on_error():
        if signum := run_both(args.data_path, args.out, args.overrides, args.overwrite):
            sys.exit(128 + signum)


if __name__ == "__main__":
    main()
