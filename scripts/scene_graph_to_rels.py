"""Turns a scene-graph generator's output into {split}_rels.npy, the relations that CMSEI reads.

python scripts/scene_graph_to_rels.py --graphs graphs.jsonl --data data/coco_precomp --split train

--graphs has one line of JSON per image, in any order:

    {"image_id": "391895", "boxes": [[x1, y1, x2, y2], ...], "pairs": [[0, 2], ...],
     "scores": [0.93, ...]}

Boxes are in pixels, pairs number them as subject and object, from 0, and scores, one per pair, may
be left out. Each box becomes the region of {split}_ims_bbx.npy that it overlaps most.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import lib  # noqa: F401  # isort: skip - from here on Ctrl-C leaves quietly

import numpy as np
from tqdm import tqdm

from lib.arguments import new_parser, path_arg
from lib.data.captions import read_ids
from lib.data.memmap import MemmapArray
from lib.errors import InputError, exit_on_error, first_line
from lib.files import atomic_write, reserved_array
from lib.outputs import check_outputs, new_file


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair of boxes.

    Args:
        boxes: (K, 4) float; x1, y1, x2, y2.
        others: (M, 4) float.

    Returns:
        (K, M) float in [0, 1]; 0 where both are empty.
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    areas, other_areas = (np.clip(b[:, 2:] - b[:, :2], 0, None).prod(-1) for b in (boxes, others))
    union = areas[:, None] + other_areas - shared
    return np.divide(shared, union, out=np.zeros_like(union), where=union > 0)


def relations_between(
    regions: np.ndarray, objects: np.ndarray, pairs: np.ndarray
) -> tuple[np.ndarray, int]:
    """A scene graph's relations, between an image's regions.

    Each object is the region that it overlaps most.

    Args:
        regions: (K, 4) float boxes.
        objects: (M, 4) float, the boxes of the scene graph's objects.
        pairs: (P, 2) integers, subject and object of each relation.

    Returns:
        (K, K) uint8, 1 where row (subject) relates to column (object); and how many relations were
        lost, because an object overlaps no region or both are the same region.
    """
    matrix = np.zeros((len(regions), len(regions)), np.uint8)
    if len(pairs) == 0:
        return matrix, 0
    shares = overlaps(objects, regions)
    nearest = np.where(shares.max(axis=1) > 0, shares.argmax(axis=1), -1)
    subject, target = nearest[pairs[:, 0]], nearest[pairs[:, 1]]
    kept = (subject >= 0) & (target >= 0) & (subject != target)
    matrix[subject[kept], target[kept]] = 1
    return matrix, int((~kept).sum())


def lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Where each line is, for errors, and the line; empty ones aside."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"{path}, line {number}", line


def table(rows: list, width: int, dtype: type) -> np.ndarray:
    """(N, width) from a list of N lists; ValueError for any other shape, or broken numbers."""
    values = np.array(rows)
    if not values.size:
        return np.empty((0, width), dtype)
    if values.ndim != 2 or values.shape[1] != width:
        raise ValueError(f"rows of shape {values.shape[1:]}, expected {width} numbers each")
    if not np.can_cast(values.dtype, dtype, "same_kind"):
        raise ValueError(f"{values.dtype} where {np.dtype(dtype)} is expected")
    return values.astype(dtype)


def parse(line: bytes, where: str) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """Image id, (M, 4) boxes, (P, 2) pairs, (P,) scores of one line, infinite if it has none."""
    try:
        graph: dict[str, Any] = json.loads(line)
        boxes = table(graph["boxes"], 4, np.float64)
        pairs = table(graph["pairs"], 2, np.int64)
        scores = graph.get("scores")
        scores = np.array(np.full(len(pairs), np.inf) if scores is None else scores, float)
        image_id = str(graph["image_id"])
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise InputError(
            f"{where}: is not a scene graph, expected image_id, boxes, pairs and perhaps scores "
            f"({type(error).__name__}: {first_line(error)})"
        ) from error
    if scores.shape != (len(pairs),):
        raise InputError(f"{where}: has scores of shape {scores.shape} for {len(pairs)} pairs")
    if not np.isfinite(boxes).all() or np.isnan(scores).any():
        raise InputError(f"{where}: has NaN or infinite boxes, or NaN scores")
    wrong = pairs[(pairs < 0) | (pairs >= len(boxes))]
    if len(wrong):
        raise InputError(f"{where}: a pair names box {wrong[0]}, there are {len(boxes)}, from 0")
    return image_id, boxes, pairs, scores


def convert(args: argparse.Namespace) -> str:
    """Write the relations; return what there is to say."""
    ids, _ = read_ids(args.data / f"{args.split}_ids.txt")
    positions = {image_id: i for i, image_id in enumerate(ids)}
    path = args.data / f"{args.split}_ims_bbx.npy"
    boxes = MemmapArray(path, len(ids), (None, 4), "regions; x1, y1, x2, y2")
    regions = boxes[0].shape[0]
    target = args.data / f"{args.split}_rels.npy"
    seen: set[str] = set()
    kept = lost = unlikely = 0
    if not args.overwrite:
        check_outputs([(target, new_file)], [path, args.graphs])
    with atomic_write(target) as temporary:
        matrices = reserved_array(temporary, (len(ids), regions, regions), "uint8")
        for where, line in tqdm(lines(args.graphs), "images", disable=None):
            image_id, objects, pairs, scores = parse(line, where)
            if image_id not in positions:
                continue  # of another split
            if image_id in seen:
                raise InputError(f"{where}: is the second graph of image {image_id}")
            seen.add(image_id)
            likely = pairs[scores >= args.min_score]
            unlikely += len(pairs) - len(likely)
            image = positions[image_id]
            matrices[image], without = relations_between(boxes[image], objects, likely)
            kept, lost = kept + len(likely) - without, lost + without
        missing = [image_id for image_id in ids if image_id not in seen]
        if missing:
            raise InputError(
                f"{args.graphs}: has no line of {len(missing):,} of {len(ids):,} images of "
                f"{args.split}, the first is {missing[0]}; an image without relations has one with "
                'empty "boxes" and "pairs"'
            )
        matrices.flush()
    return (
        f"{target}: {kept:,} relations of {len(ids):,} images; {lost:,} lost, whose boxes overlap "
        f"no region, or the same one; {unlikely:,} below --min_score"
    )


def main(words: list[str] | None = None) -> None:
    """Convert what the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "--graphs", type=path_arg, required=True, help="a file of JSON lines, as above"
    )
    parser.add_argument(
        "--data", type=path_arg, required=True, help="folder that holds {split}_ids.txt"
    )
    parser.add_argument("--split", required=True, help="train, dev, test or testall")
    parser.add_argument(
        "--min_score",
        type=float,
        default=-np.inf,
        help="leave out relations below this; default: none",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an array that is there")
    args = parser.parse_args(words)
    with exit_on_error():
        if not args.graphs.is_file():
            raise InputError(f"{args.graphs}: no such file of scene graphs")
        print(convert(args))


if __name__ == "__main__":
    main()
