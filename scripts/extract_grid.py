"""Makes grid features from pictures: one file per image, in <data>/grids.

python scripts/extract_grid.py --images IMAGES --data data/coco_precomp --weights X-101.pth
python scripts/extract_grid.py --images IMAGES --data data/f8k_precomp \\
    --backbone timm:tf_efficientnet_lite2 [--weights FILE]

The published grids are X-101.pth's. --backbone takes any of timm's networks that give maps, with
the weights that timm publishes or those of a file.

Ids and splits come from {split}_ids.txt. A picture is found by its id, as <id>.jpg,
<12 digits>.jpg or COCO_train2014_<12 digits>.jpg (val2014), or by --mapping. The extraction may be
stopped and started again; what cannot be used is listed in failed.txt.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lib  # noqa: F401  # isort: skip - from here on Ctrl-C leaves quietly

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

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
from lib.extraction.file_output import FileOutput
from lib.extraction.grid import require_cells
from lib.extraction.runner import as_dtype, extract_splits, ids_of_splits


def extract(args: argparse.Namespace) -> None:
    """Extract each split's pictures."""
    ids = ids_of_splits(args.data, args.splits)
    pictures = PictureFolder(args.images, args.mapping)
    device, job = device_of(args), job_of(args, "grid")
    extractor = extractor_of(args)
    prepare = extractor.preprocessing
    require_cells(extractor, args.grid_size)
    settings = {
        "preprocessing": asdict(prepare),
        "grid_size": args.grid_size,
        "dtype": args.dtype,
        "batch_size": args.batch_size,
    }
    name = f"grid: {extractor.name}"
    provenance = Provenance(name, extractor.weights, extractor.sha256, settings)
    extractor.backbone.to(device)

    def features(pixels: Tensor) -> list[dict]:
        with torch.inference_mode():
            maps = extractor.maps(pixels.to(device))
            if args.grid_size is not None:
                maps = adaptive_avg_pool2d(maps, args.grid_size)
        cells = maps.permute(0, 2, 3, 1).float().cpu().numpy()
        return [{"grid": as_dtype(one, args.dtype)} for one in cells]

    extract_splits(
        job,
        ids,
        lambda split, image_ids: FileOutput(
            args.data / args.out, split, image_ids, provenance, job.share
        ),
        lambda image_id: prepare.resize(pictures.read(image_id)),
        features,
    )


def main(words: list[str] | None = None) -> None:
    """Extract what the command line, or ``words`` instead of it, asks for."""
    parser = parser_of(__doc__, batch_size=8)
    add_backbone(parser)
    parser.add_argument("--out", default="grids", help="name of the folder inside --data")
    parser.add_argument(
        "--grid_size", type=int, help="average the cells to this side; default: keep all"
    )
    args = parse(parser, words, ("grid_size", *SIZES))
    if Path(args.out).is_absolute() or ".." in Path(args.out).parts:
        parser.error(f"--out is {args.out}, expected the name of a folder inside --data")
    with exit_on_error():
        extract(args)


if __name__ == "__main__":
    main()
