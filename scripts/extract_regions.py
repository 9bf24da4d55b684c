"""Makes region features from pictures: per split one array of them, (n, 36, 2048), and one of
their boxes, {split}_ims_bbx.npy, (n, 36, 4) float32: left, top, right, bottom in pixels.

python scripts/extract_regions.py --images IMAGES --data data/mine_precomp --weights X-101.pth
python scripts/extract_regions.py --images IMAGES --data data/f8k_precomp --boxes detections.json \\
    --backbone timm:tf_efficientnet_lite2 [--weights FILE]

Boxes come from a detector, or from a file in COCO's results format (image_id, bbox, score,
category_id), which may be gzipped; they are cut to the picture. Where there are too few, fixed ones
fill up. Features are the network's last map inside each box.

They do not suit weights trained on the published regions of bottom-up attention, but models that
are trained on them. Pictures are found as scripts/extract_grid.py finds them. The extraction may
be stopped and started again; what cannot be used is listed in failed.txt.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lib  # noqa: F401  # isort: skip - from here on Ctrl-C leaves quietly

import torch
from torch import Tensor

from lib.arguments import path_arg
from lib.data.pictures import PictureFolder
from lib.data.provenance import Provenance
from lib.errors import exit_on_error
from lib.extraction.arguments import (
    SIZES,
    add_backbone,
    device_of,
    extractor_of,
    job_of,
    parse,
    parser_of,
)
from lib.extraction.array_output import ArrayOutput
from lib.extraction.detections import read_detections
from lib.extraction.regions import REGIONS, RegionExtractor, filled, load_detector
from lib.extraction.runner import as_dtype, extract_splits, ids_of_splits
from lib.models.family import TIMM


def extract(args: argparse.Namespace) -> None:
    """Extract each split's pictures."""
    ids = ids_of_splits(args.data, args.splits)
    pictures = PictureFolder(args.images, args.mapping)
    device, job = device_of(args), job_of(args, "regions")
    detector = known = None
    if args.boxes is None:
        detector = load_detector(args.detector)
        detector.model.to(device)
        boxes_of, source = [detector.weights, detector.sha256], "Faster R-CNN"
    else:
        known = read_detections(args.boxes)
        boxes_of, source = [known.path.name, known.sha256], "boxes of a file"
        for note in known.notes(image_id for split in ids.values() for image_id in split):
            print(f"note: {note}", file=sys.stderr)
    grid = extractor_of(args)
    grid.backbone.to(device)
    extractor = RegionExtractor(detector, grid, args.regions)
    settings = {
        "detector": boxes_of,
        "preprocessing": asdict(grid.preprocessing),
        "regions": args.regions,
        "dtype": args.dtype,
        "batch_size": args.batch_size,
    }
    name = f"regions: {source}, {grid.name}"
    provenance = Provenance(name, grid.weights, grid.sha256, settings)
    shapes = {
        "ims": ((args.regions, grid.backbone.channels), args.dtype),
        "ims_bbx": ((args.regions, 4), "float32"),
    }

    def load(image_id: str) -> tuple[Tensor, ...]:
        picture = pictures.read(image_id)
        prepared = grid.preprocessing.resize(picture), torch.tensor(picture.size).float()
        if known is None:
            return prepared
        boxes = torch.from_numpy(known.of(image_id, *picture.size))
        return *prepared, filled(boxes, args.regions, *picture.size)

    def features(*batch: Tensor) -> list[dict]:
        rows, boxes = (found.cpu().numpy() for found in extractor(*(t.to(device) for t in batch)))
        return [
            {"ims": as_dtype(one, args.dtype), "ims_bbx": places}
            for one, places in zip(rows, boxes, strict=True)
        ]

    extract_splits(
        job,
        ids,
        lambda split, image_ids: ArrayOutput(
            args.data, split, image_ids, shapes, provenance, args.overwrite, job.share
        ),
        load,
        features,
    )


def main(words: list[str] | None = None) -> None:
    """Extract what the command line, or ``words`` instead of it, asks for."""
    parser = parser_of(__doc__, batch_size=4)
    add_backbone(parser)
    parser.add_argument(
        "--detector", help="coco, coco_small, a file of weights, or random; default: coco"
    )
    parser.add_argument(
        "--boxes", type=path_arg, help="JSON of COCO's results, in place of a detector"
    )
    parser.add_argument("--regions", type=int, default=REGIONS, help="how many per picture")
    parser.add_argument("--overwrite", action="store_true", help="replace arrays that are finished")
    args = parse(parser, words, ("regions", *SIZES))
    if args.boxes and args.detector:
        parser.error("--boxes and --detector exclude each other")
    if args.backbone.startswith(TIMM) and not args.boxes:
        parser.error(
            f"{args.backbone} sees small, stretched pictures, in which no detector looks for "
            "boxes; make them with scripts/detect_objects.py and pass --boxes"
        )
    args.detector = args.detector or "coco"
    with exit_on_error():
        extract(args)


if __name__ == "__main__":
    main()
