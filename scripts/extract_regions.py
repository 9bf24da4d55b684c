"""Makes region features from pictures: one array per split, (n, 36, 2048).

python scripts/extract_regions.py --images IMAGES --data data/mine_precomp --weights X-101.pth

They do not suit weights trained on the published regions of bottom-up attention, but models that
are trained on them. Pictures are found as scripts/extract_grid.py finds them. The extraction may
be stopped and started again; what cannot be used is listed in failed.txt.
"""

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lib  # noqa: F401  # isort: skip - from here on Ctrl-C leaves quietly

from torch import Tensor

from lib.data.pictures import PictureFolder
from lib.data.provenance import Provenance
from lib.device import resolve_device
from lib.errors import exit_on_error
from lib.extraction.grid import CHANNELS, LONGEST, SHORTEST, load_extractor
from lib.extraction.outputs import ArrayOutput
from lib.extraction.regions import REGIONS, RegionExtractor, load_detector
from lib.extraction.runner import as_dtype, extract_splits, ids_of_splits
from scripts.extraction_arguments import job_of, parse, parser_of


def extract(args: argparse.Namespace) -> None:
    """Extract each split's pictures."""
    ids = ids_of_splits(args.data, args.splits)
    pictures = PictureFolder(args.images, args.mapping)
    device = resolve_device(args.device)
    detector, grid = load_detector(args.detector), load_extractor(args.weights)
    prepare = replace(grid.preprocessing, shortest=args.shortest, longest=args.longest)
    for model in (detector.model, grid.backbone):
        model.to(device)
    extractor = RegionExtractor(detector, replace(grid, preprocessing=prepare), args.regions)
    settings = {
        "detector": [detector.weights, detector.sha256],
        "preprocessing": asdict(prepare),
        "regions": args.regions,
        "dtype": args.dtype,
        "batch_size": args.batch_size,
    }
    name = "regions: Faster R-CNN, ResNeXt-101 32x8d"
    provenance = Provenance(name, grid.weights, grid.sha256, settings)
    shapes = {"ims": ((args.regions, CHANNELS), args.dtype)}

    def features(batch: Tensor) -> list[dict]:
        found = extractor(batch.to(device)).cpu().numpy()
        return [{"ims": as_dtype(rows, args.dtype)} for rows in found]

    extract_splits(
        job_of(args, "regions"),
        ids,
        lambda split, image_ids: ArrayOutput(
            args.data, split, image_ids, shapes, provenance, args.overwrite
        ),
        lambda image_id: prepare.resize(pictures.read(image_id)),
        features,
    )


def main(words: list[str] | None = None) -> None:
    """Extract what the command line, or ``words`` instead of it, asks for."""
    parser = parser_of(__doc__, batch_size=4)
    parser.add_argument("--weights", default="imagenet", help="X-101.pth, imagenet, or random")
    parser.add_argument("--detector", default="coco", help="coco, a file, or random")
    parser.add_argument("--regions", type=int, default=REGIONS, help="per picture")
    parser.add_argument("--shortest", type=int, default=SHORTEST, help="pixels of a side")
    parser.add_argument("--longest", type=int, default=LONGEST, help="but no more than these")
    parser.add_argument("--overwrite", action="store_true", help="replace finished arrays")
    args = parse(parser, words, ("regions", "shortest", "longest"))
    with exit_on_error():
        extract(args)


if __name__ == "__main__":
    main()
