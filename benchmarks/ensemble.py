"""Ensembling COCO 5K matrices (5,000 x 25,000 float32, 500 MB each): seconds and peak memory.

python benchmarks/ensemble.py [--members 2 3 4] [--folder FOLDER]

Beside eval_ensemble.py stands the plain way: load all matrices, average their stack, and score the
members and the mean. Both print the same table, which is checked. Needs 0.5 GB of disk per member
and, for the plain way, 0.5 GB of memory per member and as much again.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from benchmarks.measure import from_one
from lib.arguments import new_parser
from lib.errors import exit_on_error
from lib.evaluation.records import Origin
from lib.evaluation.scores import save_results

CHILD = """
import json, re, sys, time
from pathlib import Path
import numpy as np
import eval_ensemble
from safetensors.numpy import load_file
from lib.evaluation.extras import Extras
from lib.evaluation.protocols import evaluate

way, *files = sys.argv[1:]
started = time.perf_counter()
if way == "ours":
    weights = [1 / len(files)] * len(files)
    record = eval_ensemble.score_ensemble(files, weights, None, None, Extras())
    sums = [result.metrics.rsum for result in record.results]
else:
    matrices = [load_file(file)["scores"] for file in files]
    for matrix in matrices:
        evaluate(matrix, "coco", "testall")
    mean = np.mean(np.stack(matrices), axis=0)
    sums = [r.metrics.rsum for r in evaluate(mean, "coco", "testall")]
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024 / 1e9
print(json.dumps({"seconds": time.perf_counter() - started, "peak": peak, "sums": sums}))
"""


def write_members(folder: Path, count: int, images: int) -> list[str]:
    """Score matrices of noisy copies of one set of unit vectors."""
    generator = np.random.default_rng(0)
    truth = generator.standard_normal((images, 64), np.float32)
    paths = []
    for number in range(count):
        pictures = truth + 0.5 * generator.standard_normal(truth.shape, np.float32)
        captions = truth.repeat(5, axis=0)
        captions = captions + 0.9 * generator.standard_normal(captions.shape, np.float32)
        pictures /= np.linalg.norm(pictures, axis=1, keepdims=True)
        captions /= np.linalg.norm(captions, axis=1, keepdims=True)
        path = folder / f"{number}.safetensors"
        ids = [str(i) for i in range(images)]
        save_results(path, pictures @ captions.T, ids, "coco", "testall", Origin())
        paths.append(str(path))
    return paths


def measure(way: str, files: list[str]) -> dict:
    """One way in a process of its own."""
    command = [sys.executable, "-c", CHILD, way, *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--members",
        type=int,
        nargs="+",
        default=[2, 3, 4],
        help="numbers of result files to average",
    )
    parser.add_argument(
        "--images", type=from_one, default=5000, help="pictures of each matrix, a multiple of five"
    )
    parser.add_argument(
        "--folder", type=Path, help="where the matrices are made; default: a temporary folder"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        started = time.perf_counter()
        files = write_members(folder, max(args.members), args.images)
        print(f"{len(files)} matrices written in {time.perf_counter() - started:.0f} s")
        print("members  eval_ensemble.py       plain              ratios (plain / ours)")
        for count in args.members:
            ours, plain = (measure(way, files[:count]) for way in ("ours", "plain"))
            assert np.allclose(ours["sums"], plain["sums"], atol=0.05), (ours, plain)
            print(
                f"{count:>7}  {ours['seconds']:6.1f} s  {ours['peak']:5.2f} GB  "
                f"{plain['seconds']:6.1f} s  {plain['peak']:5.2f} GB  "
                f"time {plain['seconds'] / ours['seconds']:.2f}, "
                f"memory {plain['peak'] / ours['peak']:.2f}"
            )


if __name__ == "__main__":
    with exit_on_error():
        main()
