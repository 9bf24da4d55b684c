"""Opening COCO's 123,287 feature files, and reading them loose and packed.

python benchmarks/open_features.py [--files 123287] [--folder FOLDER]

Opening: the folder is listed. Reading: grids of 19 x 25 x 2048 float16 pooled to 7 x 7 from loose
files, and from their pack, in one process. Times are of files that were just written, so of the
page cache and not of a disk.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from lib.arguments import new_parser
from lib.config import FeaturesConfig
from lib.data.feature_files import FeatureFiles
from lib.data.memmap import MemmapArray
from lib.data.pack import write_pack
from lib.errors import exit_on_error


def seconds(work: Callable[[], object]) -> float:
    """How long ``work`` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def opening(folder: Path, count: int) -> None:
    """Open ``count`` files of one small grid each, which their number alone makes slow."""
    grids = folder / "grids"
    grids.mkdir()
    ids = [f"{i:012d}" for i in range(count)]
    features = FeaturesConfig(type="grid", folder="grids")
    np.save(grids / f"{ids[0]}.npy", np.zeros((7, 7, 8), np.float16))
    content = (grids / f"{ids[0]}.npy").read_bytes()
    for image_id in ids[1:]:
        (grids / f"{image_id}.npy").write_bytes(content)
    took = seconds(lambda: FeatureFiles(grids, ids, 8, features))
    print(f"opening {count:,} files: {took:.2f} s")


def reading(folder: Path, count: int) -> None:
    """Read full-sized grids loose and packed."""
    grids, packed = folder / "full", folder / "full_packed"
    grids.mkdir()
    ids = [str(i) for i in range(count)]
    generator = np.random.default_rng(0)
    for image_id in ids:
        cells = generator.random((19, 25, 2048), np.float32)
        np.save(grids / f"{image_id}.npy", cells.astype(np.float16))
    features = FeaturesConfig(type="grid", folder="full")
    loose = FeatureFiles(grids, ids, 2048, features)
    array, shape = packed / "train.npy", (count, 49, 2048)
    sidecar = array.with_suffix(".json")
    write_pack(
        array, sidecar, {}, shape, "float32", lambda done: map(loose.__getitem__, range(count))
    )
    pack = MemmapArray(array, count, shape[1:], "cells, channels")
    order = generator.permutation(count)
    slow = seconds(lambda: [loose[i] for i in order]) / count
    fast = seconds(lambda: [pack[i] for i in order]) / count
    assert all(np.array_equal(loose[i], pack[i]) for i in order[:20])
    print(
        f"reading a 19 x 25 x 2048 float16 grid pooled to 7 x 7: {1000 * slow:.2f} ms loose, "
        f"{1000 * fast:.2f} ms packed, ratio {slow / fast:.0f}"
    )


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--files", type=int, default=123_287, help="how many files the folder has")
    parser.add_argument(
        "--grids", type=int, default=200, help="how many grids to read, loose and packed"
    )
    parser.add_argument(
        "--folder", type=Path, help="where the files are made; default: a temporary folder"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        opening(Path(name), args.files)
        reading(Path(name), args.grids)


if __name__ == "__main__":
    with exit_on_error():
        main()
