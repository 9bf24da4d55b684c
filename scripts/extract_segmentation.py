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

import lib  # noqa: F401  # isort: skip - from here on Ctrl-C leaves quietly

from torch import Tensor

from lib.data.pictures import PictureFolder
from lib.data.provenance import Provenance
from lib.data.segmentation import CELLS, MAP_SIZE
from lib.errors import exit_on_error
from lib.extraction.arguments import device_of, job_of, parse, parser_of
from lib.extraction.array_output import ArrayOutput
from lib.extraction.panoptic_model import DEFAULT, THRESHOLD, load_panoptic_model, to_tensor
from lib.extraction.runner import extract_splits, ids_of_splits
from lib.extraction.segmentation import array_shapes, stored_arrays


def extract(args: argparse.Namespace) -> None:
    """Extract each split's pictures."""
    ids = ids_of_splits(args.data, args.splits)
    pictures = PictureFolder(args.images, args.mapping)
    device, job = device_of(args), job_of(args, "segmentation")
    panoptic = load_panoptic_model(args.model)
    panoptic.model.to(device)
    settings = {
        "preprocessing": panoptic.preprocessing,
        "threshold": args.threshold,
        "cells": args.cells,
        "map_size": args.map_size,
        "dtype": args.dtype,
        "batch_size": args.batch_size,
    }
    provenance = Provenance("segmentation: transformers", panoptic.name, panoptic.sha256, settings)
    shapes = array_shapes(args.cells, args.map_size, args.dtype)

    def arrays(batch: Tensor) -> list[dict]:
        maps = panoptic.labels(batch, args.threshold)
        return [stored_arrays(labels, args.cells, args.map_size, args.dtype) for labels in maps]

    extract_splits(
        job,
        ids,
        lambda split, image_ids: ArrayOutput(
            args.data, split, image_ids, shapes, provenance, args.overwrite, job.share
        ),
        lambda image_id: to_tensor(pictures.read(image_id)),
        arrays,
    )


def main(words: list[str] | None = None) -> None:
    """Extract what the command line, or ``words`` instead of it, asks for."""
    parser = parser_of(__doc__, batch_size=4)
    parser.add_argument(
        "--model", default=DEFAULT, help="a panoptic model: hub name, folder, or random"
    )
    parser.add_argument(
        "--threshold", type=float, default=THRESHOLD, help="least score of a segment that counts"
    )
    parser.add_argument(
        "--cells", type=int, default=CELLS, help="side of the grid of category shares"
    )
    parser.add_argument(
        "--map_size", type=int, default=MAP_SIZE, help="side of the label map that is kept"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace arrays that are finished")
    args = parse(parser, words, ("cells", "map_size"))
    with exit_on_error():
        extract(args)


if __name__ == "__main__":
    main()
