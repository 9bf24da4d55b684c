"""Makes a dataset's segmentation arrays from any tool's result in COCO's panoptic format.

python scripts/convert_panoptic.py --json panoptic_val2017.json --png panoptic_val2017/ \\
    --data data/coco_precomp

Writes {split}_segmentations.npy, {split}_seg_maps.npy and {split}_cat_onehots.npy, each with a
manifest. It may be stopped and started again. What cannot be used is listed in failed.txt.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.data.manifest import Manifest, file_sha256
from lib.device import default_workers
from lib.errors import InputError, reported
from lib.extraction.outputs import ArrayOutput
from lib.extraction.pictures import split_ids, splits_of
from lib.extraction.runner import report_failures, run
from lib.extraction.segmentation import (
    CELLS,
    MAP_SIZE,
    array_shapes,
    open_panoptic,
    stored_arrays,
)


def convert(args: argparse.Namespace) -> None:
    """Convert each split."""
    panoptic = open_panoptic(args.json, args.png)
    settings = {"cells": args.cells, "map_size": args.map_size, "dtype": args.dtype}
    manifest = Manifest("panoptic", args.json.name, file_sha256(args.json), settings)
    shapes = array_shapes(args.cells, args.map_size, args.dtype)

    def load(image_id: str) -> dict:
        labels = panoptic.labels(image_id)
        return stored_arrays(labels, args.cells, args.map_size, args.dtype)

    failures = {}
    for split in splits_of(args.data, args.splits and args.splits.split(",")):
        ids = split_ids(args.data, split)
        output = ArrayOutput(args.data, split, len(ids), shapes, manifest, args.overwrite)
        failures[split] = run(split, ids, load, None, output, 16, args.workers)
        state = "whole" if output.complete else "not whole yet"
        print(f"{args.data}/{split}_*.npy: {len(ids):,} images, {state}")
    if problem := report_failures(args.data, "panoptic", failures):
        raise InputError(problem)


def main(words: list[str] | None = None) -> None:
    """Convert what the command line, or ``words`` instead of it, asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, required=True, help="annotations[].segments_info[]")
    parser.add_argument("--png", type=Path, required=True, help="folder of one PNG per image")
    parser.add_argument("--data", type=Path, required=True, help="holds {split}_ids.txt")
    parser.add_argument("--splits", help="as in train,dev; default: every <split>_ids.txt")
    parser.add_argument("--cells", type=int, default=CELLS, help="side of the grid of shares")
    parser.add_argument("--map_size", type=int, default=MAP_SIZE, help="side of the label map")
    parser.add_argument("--dtype", default="float16", choices=("float16", "float32"))
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--overwrite", action="store_true", help="replace finished arrays")
    args = parser.parse_args(words)
    if min(args.cells, args.map_size) < 1 or args.workers < 0:
        parser.error("--cells and --map_size must be at least 1, --workers at least 0")
    with reported():
        convert(args)


if __name__ == "__main__":
    main()
