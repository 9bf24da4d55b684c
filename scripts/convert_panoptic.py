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

from lib.arguments import path_arg
from lib.data.provenance import Provenance
from lib.data.segmentation import CELLS, MAP_SIZE
from lib.errors import exit_on_error
from lib.extraction.outputs import ArrayOutput
from lib.extraction.runner import extract_splits, ids_of_splits
from lib.extraction.segmentation import array_shapes, open_panoptic, stored_arrays
from lib.files import file_sha256
from scripts.extraction_arguments import job_of, parse, parser_of


def convert(args: argparse.Namespace) -> None:
    """Convert each split."""
    ids = ids_of_splits(args.data, args.splits)
    panoptic = open_panoptic(args.json, args.png)
    settings = {"cells": args.cells, "map_size": args.map_size, "dtype": args.dtype}
    provenance = Provenance("panoptic", args.json.name, file_sha256(args.json), settings)
    shapes = array_shapes(args.cells, args.map_size, args.dtype)

    def load(image_id: str) -> dict:
        labels = panoptic.labels(image_id)
        return stored_arrays(labels, args.cells, args.map_size, args.dtype)

    extract_splits(
        job_of(args, "panoptic"),
        ids,
        lambda split, image_ids: ArrayOutput(
            args.data, split, image_ids, shapes, provenance, args.overwrite
        ),
        load,
        None,
    )


def main(words: list[str] | None = None) -> None:
    """Convert what the command line, or ``words`` instead of it, asks for."""
    parser = parser_of(__doc__, batch_size=None)
    parser.add_argument(
        "--json", type=path_arg, required=True, help="annotations[].segments_info[]"
    )
    parser.add_argument("--png", type=path_arg, required=True, help="folder of one PNG per image")
    parser.add_argument("--cells", type=int, default=CELLS, help="side of the grid of shares")
    parser.add_argument("--map_size", type=int, default=MAP_SIZE, help="side of the label map")
    parser.add_argument("--overwrite", action="store_true", help="replace finished arrays")
    args = parse(parser, words, ("cells", "map_size"))
    with exit_on_error():
        convert(args)


if __name__ == "__main__":
    main()
