"""A training that is killed in the middle and resumed, beside one that is not, on the device.

python -m benchmarks.gpu.resume [--device cuda]

On the demo world: SIGKILL before an update of the second epoch, then --resume. Prints whether all
weights of the last checkpoint are equal, bit for bit, or by how much they differ: a GPU's sums may
be of any order from run to run, so a third run, not stopped either, says what that is worth. Leaves
with an error where a resumed run deviates from the first more than the third does."""

import argparse
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.measure import machine
from lib.arguments import new_parser
from lib.checkpoint import load_checkpoint
from lib.demo.scenes.files import write_world
from lib.demo.scenes.world import World
from lib.demo.small_bert import write_small_bert
from lib.errors import InputError, exit_on_error

ROOT = Path(__file__).parents[2]


def train(words: list[str], update: int | None = None, resume: bool = False) -> None:
    """One process of train.py, killed before an update if one is given. Raises InputError."""
    program = ["train.py"] if update is None else ["-m", "tests.training.killed", str(update)]
    flag = ["--resume"] if resume else ["--overwrite"]
    done = subprocess.run(
        [sys.executable, *program, *flag, *words], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode != (0 if update is None else -9):
        last = done.stderr.strip().splitlines()[-1:] or ["it printed nothing"]
        raise InputError(f"training ended with {done.returncode}: {last[0]}")


def deviation(one: Path, other: Path) -> float:
    """The largest of any weight of two runs' last checkpoints. Raises InputError: it is no number,
    which would pass for equal."""
    states = [load_checkpoint(run / "checkpoint.pth").model for run in (one, other)]
    found = [
        float((states[0][name].double() - states[1][name].double()).abs().max())
        for name in states[0]
    ]
    if not all(map(math.isfinite, found)):
        raise InputError(f"{one}: its weights or those of {other} are NaN or infinite")
    return max(found)


def measure(args: argparse.Namespace, root: Path) -> None:
    """Print what came of it. Raises InputError: a run failed, or resuming shows."""
    images = 40 if args.tiny else 240
    world = World(train=images, dev=10, test=10, regions=8, img_dim=64, map_size=8)
    folder = root / "scenes_precomp"
    write_world(world, folder)
    write_small_bert(folder / "bert", folder / "train_caps.txt", hidden=64)
    steps = images * 5 // 20
    kinds = ["region"] if args.tiny else ["region", "grid"]
    for kind in kinds:
        words = ["--config", f"configs/scenes_{kind}.yaml", f"data.root={root}", "data.workers=0"]
        words += [f"model.bert={folder}/bert", "model.img_dim=64", "model.map_size=8"]
        words += ["model.embed_size=64", "train.batch_size=20", "train.epochs=2"]
        words += ["train.sum_epochs=1", "train.decay_epoch=2", f"run.device={args.device}"]
        runs = {name: root / f"{kind}-{name}" for name in ("whole", "again", "killed")}
        own = {name: [*words, f"run.out={path}"] for name, path in runs.items()}
        train(own["whole"])
        train(own["killed"], update=steps + steps // 2)  # in the second epoch
        train(own["killed"], resume=True)
        resumed = deviation(runs["whole"], runs["killed"])
        if resumed == 0:
            print(f"{kind}: killed in the second of two epochs and resumed: equal, bit for bit.")
            continue
        train(own["again"])
        again = deviation(runs["whole"], runs["again"])
        print(
            f"{kind}: killed and resumed, weights differ by up to {resumed:.1e}; two runs that "
            f"were not stopped differ by up to {again:.1e}."
        )
        if again == 0 or resumed > 10 * again:
            raise InputError(f"{kind}: a resumed run is another one")


def main(words: list[str] | None = None) -> None:
    """Train what the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda", help="where to compute"
    )
    parser.add_argument("--tiny", action="store_true", help="sizes that only show that it runs")
    args = parser.parse_args(words)
    torch.manual_seed(0)
    with exit_on_error(), tempfile.TemporaryDirectory() as temporary:
        print(machine() + "\n")
        measure(args, Path(temporary))


if __name__ == "__main__":
    sys.exit(main())
