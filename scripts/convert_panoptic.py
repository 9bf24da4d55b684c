"""Makes a dataset's segmentation arrays from what another tool has found in the pictures.

python scripts/convert_panoptic.py --json panoptic_val2017.json --png panoptic_val2017/ \\
    --data data/coco_precomp
python scripts/convert_panoptic.py --labels label_maps.npz --data data/f8k_precomp
python scripts/convert_panoptic.py --boxes detections.json --images IMAGES --data data/mine_precomp

--json and --png are a result in COCO's panoptic format. --labels is an .npz of ids and of labels,
(n, H, W) uint8 in UPSNet's numbers. --boxes is a list of COCO's results (image_id, bbox, score,
category_id): where there are no masks, boxes are painted, the highest score in front.

Writes {split}_segmentations.npy, {split}_seg_maps.npy and {split}_cat_onehots.npy, each with a
manifest. It may be stopped and started again. What cannot be used is listed in failed.txt.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from lib.arguments import path_arg
from lib.data.pictures import PictureFolder, picture_size
from lib.data.provenance import Provenance
from lib.data.segmentation import CELLS, MAP_SIZE
from lib.errors import exit_on_error
from lib.extraction.arguments import job_of, parse, parser_of
from lib.extraction.array_output import ArrayOutput
from lib.extraction.detections import SCORE, read_detections
from lib.extraction.label_maps import read_label_maps
from lib.extraction.runner import extract_splits, ids_of_splits
from lib.extraction.segmentation import array_shapes, open_panoptic, stored_arrays
from lib.files import file_sha256


def source_of(
    args: argparse.Namespace, image_ids: list[str]
) -> tuple[Callable[[str], np.ndarray], Provenance]:
    """What gives an image's label map, (H, W) uint8, and its provenance."""
    settings = {"cells": args.cells, "map_size": args.map_size, "dtype": args.dtype}
    if args.json:
        panoptic = open_panoptic(args.json, args.png)
        about = ("panoptic", args.json.name, file_sha256(args.json), settings)
        return panoptic.labels, Provenance(*about)
    if args.labels:
        maps = read_label_maps(args.labels)
        return maps.labels, Provenance("label maps", maps.path.name, maps.sha256, settings)
    found = read_detections(args.boxes)
    for note in found.notes(image_ids):
        print(f"note: {note}", file=sys.stderr)
    pictures = PictureFolder(args.images, args.mapping)

    def painted(image_id: str) -> np.ndarray:
        return found.labels(image_id, *picture_size(pictures.find(image_id)), args.score)

    settings["score"] = args.score
    return painted, Provenance("painted boxes", found.path.name, found.sha256, settings)


def convert(args: argparse.Namespace) -> None:
    """Convert each split."""
    ids = ids_of_splits(args.data, args.splits)
    labels_of, provenance = source_of(args, [i for split in ids.values() for i in split])
    shapes, job = array_shapes(args.cells, args.map_size, args.dtype), job_of(args, "panoptic")

    def load(image_id: str) -> dict:
        return stored_arrays(labels_of(image_id), args.cells, args.map_size, args.dtype)

    extract_splits(
        job,
        ids,
        lambda split, image_ids: ArrayOutput(
            args.data, split, image_ids, shapes, provenance, args.overwrite, job.share
        ),
        load,
        None,
    )


def main(words: list[str] | None = None) -> None:
    """Convert what the command line, or ``words`` instead of it, asks for."""
    parser = parser_of(__doc__, batch_size=None)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--json",
        type=path_arg,
        help="COCO's panoptic JSON, with annotations[].segments_info[]; needs --png",
    )
    source.add_argument("--labels", type=path_arg, help="an .npz of ids and label maps")
    source.add_argument(
        "--boxes", type=path_arg, help="COCO's results, .json or .json.gz; needs --images"
    )
    parser.add_argument("--png", type=path_arg, help="folder of the PNGs of --json, one per image")
    parser.add_argument("--images", type=path_arg, help="folder of the pictures of --boxes")
    parser.add_argument(
        "--mapping", type=path_arg, help="JSON object, image id -> file inside --images"
    )
    parser.add_argument(
        "--score", type=float, default=SCORE, help="least score of a box that is painted"
    )
    parser.add_argument(
        "--cells", type=int, default=CELLS, help="side of the grid of category shares"
    )
    parser.add_argument(
        "--map_size", type=int, default=MAP_SIZE, help="side of the label map that is kept"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace arrays that are finished")
    args = parse(parser, words, ("cells", "map_size"))
    if bool(args.json) != bool(args.png):
        parser.error("--json and --png go together")
    if bool(args.boxes) != bool(args.images):
        parser.error("--boxes and --images, the folder of their pictures, go together")
    with exit_on_error():
        convert(args)


if __name__ == "__main__":
    main()
