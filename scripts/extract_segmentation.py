"""Makes a dataset's segmentation arrays from pictures, with a panoptic model of the hub.

python scripts/extract_segmentation.py --images IMAGES --data data/coco_precomp

Writes {split}_segmentations.npy, {split}_seg_maps.npy and {split}_cat_onehots.npy, each with a
manifest. Pictures are found as scripts/extract_grid.py finds them. The extraction may be stopped
and started again; what cannot be used is listed in failed.txt.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import Tensor

from lib.data.manifest import Manifest
from lib.device import default_workers, resolve_device
from lib.errors import InputError, reported
from lib.extraction.outputs import ArrayOutput
from lib.extraction.panoptic_model import DEFAULT, THRESHOLD, load_panoptic_model
from lib.extraction.pictures import PictureFolder, decode, split_ids, splits_of
from lib.extraction.runner import report_failures, run
from lib.extraction.segmentation import CELLS, MAP_SIZE, array_shapes, stored_arrays


def extract(args: argparse.Namespace) -> None:
    """Extract each split's pictures."""
    splits = splits_of(args.data, args.splits and args.splits.split(","))
    ids = {split: split_ids(args.data, split) for split in splits}
    pictures = PictureFolder(args.images, args.mapping)
    device = resolve_device(args.device)
    panoptic = load_panoptic_model(args.model)
    panoptic.model.to(device)
    settings = {
        "threshold": args.threshold,
        "cells": args.cells,
        "map_size": args.map_size,
        "dtype": args.dtype,
        "batch_size": args.batch_size,
    }
    manifest = Manifest("segmentation: transformers", panoptic.name, panoptic.sha256, settings)
    shapes = array_shapes(args.cells, args.map_size, args.dtype)

    def load(image_id: str) -> Tensor:
        return torch.from_numpy(np.array(decode(pictures.find(image_id))))

    def arrays(batch: Tensor) -> list[dict]:
        maps = panoptic.labels(batch, args.threshold)
        return [stored_arrays(labels, args.cells, args.map_size, args.dtype) for labels in maps]

    failures = {}
    for split in splits:
        count = len(ids[split])
        output = ArrayOutput(args.data, split, count, shapes, manifest, args.overwrite)
        failures[split] = run(
            split, ids[split], load, arrays, output, args.batch_size, args.workers
        )
        state = "whole" if output.complete else "not whole yet"
        print(f"{args.data}/{split}_*.npy: {count:,} images, {state}")
    if problem := report_failures(args.data, "segmentation", failures):
        raise InputError(problem)


def main(words: list[str] | None = None) -> None:
    """Extract what the command line, or ``words`` instead of it, asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--data", type=Path, required=True, help="holds {split}_ids.txt")
    parser.add_argument("--model", default=DEFAULT, help="hub name or folder; 133 COCO categories")
    parser.add_argument("--threshold", type=float, default=THRESHOLD, help="of a segment")
    parser.add_argument("--splits", help="as in train,dev; default: every <split>_ids.txt")
    parser.add_argument("--mapping", type=Path, help="JSON: image id -> file inside --images")
    parser.add_argument("--cells", type=int, default=CELLS, help="side of the grid of shares")
    parser.add_argument("--map_size", type=int, default=MAP_SIZE, help="side of the label map")
    parser.add_argument("--dtype", default="float16", choices=("float16", "float32"))
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--overwrite", action="store_true", help="replace finished arrays")
    args = parser.parse_args(words)
    if min(args.cells, args.map_size, args.batch_size) < 1 or args.workers < 0:
        parser.error("sizes must be at least 1, --workers at least 0")
    with reported():
        extract(args)


if __name__ == "__main__":
    main()
