"""Top-10 search in a gallery of random unit vectors: the indexes beside brute force.

python benchmarks/gallery.py [--sizes 100000 1000000]

Width 1,024, seed 0, 100 queries whose cosine with one of the vectors is about 0.5, as a caption's
with its picture. Random vectors have no neighbourhoods: apart from that one vector, the ten best
are chance, and lists around centres find few of them, which real galleries do not suffer as much.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.measure import from_one, machine
from lib.evaluation.gallery import build
from lib.evaluation.search import top

WIDTH, QUERIES, K = 1024, 100, 10


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length one, in place."""
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def brute_force(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """As search does without an index."""
    return top(vectors @ query, K)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=from_one, nargs="+", default=[100_000, 1_000_000])
    args = parser.parse_args()
    print(machine())
    print("| vectors | search | built in | ms per query | R@1 | R@10 of brute force |")
    print("|---|---|---|---|---|---|")
    for size in args.sizes:
        generator = np.random.default_rng(0)
        vectors = unit(generator.standard_normal((size, WIDTH), np.float32))
        noise = unit(generator.standard_normal((QUERIES, WIDTH), np.float32))
        queries = unit(vectors[:QUERIES] * 0.577 + noise)
        expected = np.empty((QUERIES, K), np.int64)
        times = []
        for row, query in enumerate(queries):
            started = time.perf_counter()
            expected[row] = brute_force(vectors, query)
            times.append(time.perf_counter() - started)
        print(row_of(size, "brute force", None, times, expected, expected), flush=True)
        for name, exact in (("exact index", True), ("approximate index", False)):
            started = time.perf_counter()
            index = build(vectors, exact)
            took = time.perf_counter() - started
            found, times = np.empty_like(expected), []
            for row in range(QUERIES):
                started = time.perf_counter()
                found[row] = index.search(queries[row : row + 1], K)[1][0]
                times.append(time.perf_counter() - started)
            print(row_of(size, name, took, times, found, expected), flush=True)
            del index


def row_of(
    size: int,
    name: str,
    built: float | None,
    times: list[float],
    found: np.ndarray,
    expected: np.ndarray,
) -> str:
    """A row of RESULTS.md."""
    first = np.mean(found[:, 0] == expected[:, 0])
    shared = np.mean([len(set(a) & set(b)) / K for a, b in zip(found, expected, strict=True)])
    built = "-" if built is None else f"{built:.1f} s"
    ms = sorted(1e3 * t for t in times)
    spread = f"{statistics.median(ms):.1f} ({ms[5]:.1f} to {ms[-6]:.1f})"
    return f"| {size:,} | {name} | {built} | {spread} | {first:.2f} | {shared:.2f} |"


if __name__ == "__main__":
    main()
