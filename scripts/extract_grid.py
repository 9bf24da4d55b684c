"""Makes grid features from pictures: one file per image, in <data>/grids.

python scripts/extract_grid.py --images IMAGES --data data/coco_precomp --weights X-101.pth

Ids and splits come from {split}_ids.txt. A picture is found by its id, as <id>.jpg,
<12 digits>.jpg or COCO_train2014_<12 digits>.jpg (val2014), or by --mapping. The extraction may be
stopped and started again; what cannot be used is listed in failed.txt.
"""

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lib  # noqa: F401  # isort: skip - from here on Ctrl-C leaves quietly

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from lib.data.pictures import PictureFolder
from lib.data.provenance import Provenance
from lib.device import resolve_device
from lib.errors import exit_on_error
from lib.extraction.grid import LONGEST, SHORTEST, load_extractor
from lib.extraction.outputs import FileOutput
from lib.extraction.runner import as_dtype, extract_splits, ids_of_splits
from scripts.extraction_arguments import job_of, parse, parser_of


def extract(args: argparse.Namespace) -> None:
    """Extract each split's pictures."""
    ids = ids_of_splits(args.data, args.splits)
    pictures = PictureFolder(args.images, args.mapping)
    device = resolve_device(args.device)
    extractor = load_extractor(args.weights)
    prepare = replace(extractor.preprocessing, shortest=args.shortest, longest=args.longest)
    settings = {
        "preprocessing": asdict(prepare),
        "grid_size": args.grid_size,
        "dtype": args.dtype,
        "batch_size": args.batch_size,
    }
    name = "grid: ResNeXt-101 32x8d"
    provenance = Provenance(name, extractor.weights, extractor.sha256, settings)
    backbone = extractor.backbone.to(device)

    def features(pixels: Tensor) -> list[dict]:
        with torch.inference_mode():
            maps = backbone(prepare.normalise(pixels.to(device)))
            if args.grid_size is not None:
                maps = adaptive_avg_pool2d(maps, args.grid_size)
        cells = maps.permute(0, 2, 3, 1).float().cpu().numpy()
        return [{"grid": as_dtype(one, args.dtype)} for one in cells]

    extract_splits(
        job_of(args, "grid"),
        ids,
        lambda split, image_ids: FileOutput(args.data / args.out, split, image_ids, provenance),
        lambda image_id: prepare.resize(pictures.read(image_id)),
        features,
    )


def main(words: list[str] | None = None) -> None:
    """Extract what the command line, or ``words`` instead of it, asks for."""
    parser = parser_of(__doc__, batch_size=8)
    parser.add_argument("--weights", required=True, help="X-101.pth, imagenet, or random")
    parser.add_argument("--out", default="grids", help="folder inside --data")
    parser.add_argument("--grid_size", type=int, help="average to this side; default: all cells")
    parser.add_argument("--shortest", type=int, default=SHORTEST, help="pixels of a side")
    parser.add_argument("--longest", type=int, default=LONGEST, help="but no more than these")
    args = parse(parser, words, ("grid_size", "shortest", "longest"))
    with exit_on_error():
        extract(args)


if __name__ == "__main__":
    main()
