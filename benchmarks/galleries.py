"""Searching galleries of 100,000 to ten million vectors: brute force, and an index.

python benchmarks/galleries.py --embeddings region.safetensors grid.safetensors --work FOLDER \\
    [--vectors 100000 1000000 10000000] [--queries 200]

Vectors are made around real ones: each is the mean of two embedded pictures that are near each
other, with random weights, and noise of the size of the spread between neighbours. Queries are
embedded captions of the same model. Several files are one model's parts: their vectors, one behind
the other and divided by the root of their number, have the mean of their scores, as a hybrid has.
Random directions would be far easier to tell apart, and an index would look worse than it is.

Prints recall@10 against the exact search on the same float16 vectors, and the time of one query
alone; memory is what the process holds itself, mapped files aside. The galleries stay in --work.
"""

import argparse
import sys
import time
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.growth import Watch, anonymous_memory
from benchmarks.measure import from_one, machine
from lib.arguments import new_parser, path_arg
from lib.errors import InputError, exit_on_error
from lib.evaluation.embedding_shards import MANIFEST, EmbeddingShards
from lib.evaluation.index_builder import Shape, build_index, default_lists
from lib.evaluation.index_folder import load_faiss
from lib.evaluation.records import Origin
from lib.evaluation.scores import read_embeddings
from lib.evaluation.shard_writer import ShardWriter
from lib.evaluation.vector_index import VectorIndex
from lib.evaluation.vectors import brute_force

K = 10
NEIGHBOURS = 8  # pictures among which the other half of a mixture is drawn
SETTINGS = ((16, 1000), (64, 1000), (256, 1000), (64, 200), (64, 4000), (256, 4000))


def parts(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, D) and captions (5n, D) float32 of one model, or of several as one."""
    found = []
    for path in paths:
        if path.is_dir():
            shards = EmbeddingShards(path)
            assert shards.captions is not None
            found.append([side[:].astype(np.float32) for side in (shards.images, shards.captions)])
        else:
            found.append(list(read_embeddings(path)[:2]))
    root = np.float32(len(paths) ** 0.5)
    return tuple(np.concatenate(side, axis=1) / root for side in zip(*found, strict=True))  # type: ignore[return-value]


def neighbours(images: np.ndarray) -> np.ndarray:
    """(n, NEIGHBOURS) int64: the pictures nearest to each."""
    near = np.empty((len(images), NEIGHBOURS), np.int64)
    for start in range(0, len(images), 1000):
        scores = images[start : start + 1000] @ images.T
        order = np.argpartition(-scores, NEIGHBOURS, axis=1)[:, : NEIGHBOURS + 1]
        for row, some in enumerate(order):
            near[start + row] = some[some != start + row][:NEIGHBOURS]
    return near


def make(folder: Path, images: np.ndarray, count: int) -> EmbeddingShards:
    """A gallery of ``count`` vectors around ``images``, unless it is there."""
    key = {"vectors": count, "around": sha256(images.tobytes()).hexdigest()}
    if (folder / MANIFEST).is_file():
        found = EmbeddingShards(folder)
        if found.key != key:
            raise InputError(f"{folder}: is of other embeddings; remove it, or choose --work")
        return found
    near = neighbours(images)
    # Per dimension, so that noise lies where pictures differ.
    spread = (images - images[near[:, 0]]).std(axis=0)
    about = ("mixtures", "test", Origin("benchmark"))
    ids = [f"{number:08}" for number in range(count)]
    writer = ShardWriter(folder, ids, about, key, "float16", 16_384)
    for shard in writer.shards:
        if writer.is_done(shard):
            continue
        generator = np.random.default_rng((count, shard.start))
        one = generator.integers(0, len(images), len(shard))
        other = near[one, generator.integers(0, NEIGHBOURS, len(shard))]
        weight = generator.random((len(shard), 1), np.float32)
        noise = generator.standard_normal((len(shard), images.shape[1]), np.float32)
        rows = weight * images[one] + (1 - weight) * images[other] + 0.5 * spread * noise
        writer.write(shard, rows / np.linalg.norm(rows, axis=1, keepdims=True), None)
    shards = writer.merge()
    assert shards is not None
    return shards


def milliseconds(search: object, queries: np.ndarray) -> tuple[float, np.ndarray]:
    """The median time of one query, and the numbers that all found, (q, K)."""
    times, found = [], []
    for query in queries:
        started = time.perf_counter()
        found.append(search(query[None], K)[1][0])  # type: ignore[operator]
        times.append(time.perf_counter() - started)
    return 1e3 * float(np.median(times)), np.array(found)


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """The share of the exact K that were found."""
    hits = (len(np.intersect1d(a, b)) for a, b in zip(found, exact, strict=True))
    return sum(hits) / exact.size


def measure(args: argparse.Namespace) -> None:
    """Print a row for each way of searching each gallery."""
    faiss = load_faiss()
    images, captions = parts(args.embeddings)
    chosen = np.linspace(0, len(captions) - 1, args.queries).astype(int)
    queries = np.ascontiguousarray(captions[chosen])
    print(f"{machine()}, FAISS {faiss.__version__}; {len(images):,} embedded pictures of "
          f"{images.shape[1]} values, {len(queries)} captions as queries\n")  # fmt: skip
    print("| vectors | way | ms per query | recall@10 | built in | its memory | on the disk |")
    print("|---|---|---|---|---|---|---|")
    for count in args.vectors:
        shards = make(args.work / f"{count}", images, count)
        before = anonymous_memory()
        with Watch() as watch:
            _, exact = brute_force(shards.images, queries, K)
        taken, _ = milliseconds(lambda q, k, s=shards: brute_force(s.images, q, k), queries[:5])
        together = 1e3 * watch.seconds / len(queries)
        size = sum(path.stat().st_size for path in shards.images.paths) / 1e9
        told = f"{taken:,.0f}; {together:,.1f} of {len(queries)} at once"
        peak = f"{watch.peak - before:.2f} GB"
        print(f"| {count:,} | brute force | {told} | 1 | | {peak} | {size:.2f} GB |", flush=True)
        shape = Shape(default_lists(count), args.code)
        with Watch() as watch:
            build_index(shards, shape, say=lambda line: print(line, file=sys.stderr))
        built = f"{watch.seconds:,.0f} s, {watch.peak - before:.2f} GB"
        for probes, candidates in SETTINGS:
            before = anonymous_memory()
            index = VectorIndex(shards, probes, candidates)
            index.search(queries[:5], K)
            with Watch() as watch:
                taken, found = milliseconds(index.search, queries)
            files = sum(p.stat().st_size for p in (args.work / f"{count}" / "index").iterdir())
            name = f"{shape.factory(images.shape[1])}, {index.probes} lists, best {candidates:,}"
            cells = f"{taken:,.1f} | {recall(found, exact):.3f} | {built}"
            sizes = f"{watch.peak - before:.2f} GB | {files / 1e9:.2f} GB"
            print(f"| | {name} | {cells} | {sizes} |", flush=True)
            built = ""


def main(words: list[str] | None = None) -> None:
    """Measure what the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "--embeddings",
        type=path_arg,
        nargs="+",
        required=True,
        help="of eval.py --save_embeddings, files or folders; several are parts of one model",
    )
    parser.add_argument(
        "--work", type=path_arg, required=True, help="folder that gets the galleries"
    )
    parser.add_argument(
        "--vectors",
        type=from_one,
        nargs="+",
        default=[100_000, 1_000_000, 10_000_000],
        help="sizes of the galleries",
    )
    parser.add_argument("--queries", type=from_one, default=200, help="how many captions")
    parser.add_argument("--code", type=from_one, default=64, help="bytes of a vector's code")
    args = parser.parse_args(words)
    with exit_on_error():
        measure(args)


if __name__ == "__main__":
    main()
