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

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from lib.data.manifest import Manifest
from lib.device import default_workers, resolve_device
from lib.errors import InputError, reported
from lib.extraction.grid import LONGEST, SHORTEST, load_extractor
from lib.extraction.outputs import FileOutput
from lib.extraction.pictures import PictureFolder, decode, split_ids, splits_of
from lib.extraction.runner import as_dtype, report_failures, run


def extract(args: argparse.Namespace) -> None:
    """Extract each split's pictures."""
    splits = splits_of(args.data, args.splits and args.splits.split(","))
    ids = {split: split_ids(args.data, split) for split in splits}
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
    manifest = Manifest("grid: ResNeXt-101 32x8d", extractor.weights, extractor.sha256, settings)
    backbone = extractor.backbone.to(device)

    def features(pixels: Tensor) -> list[dict]:
        with torch.inference_mode():
            maps = backbone(prepare.normalise(pixels.to(device)))
            if args.grid_size is not None:
                maps = adaptive_avg_pool2d(maps, args.grid_size)
        cells = maps.permute(0, 2, 3, 1).float().cpu().numpy()
        return [{"grid": as_dtype(one, args.dtype)} for one in cells]

    failures = {}
    for split in splits:
        output = FileOutput(args.data / args.out, split, ids[split], manifest)
        failures[split] = run(
            split,
            ids[split],
            lambda image_id: prepare.resize(decode(pictures.find(image_id))),
            features,
            output,
            args.batch_size,
            args.workers,
        )
        done = len(ids[split]) - len(failures[split])
        print(f"{args.data / args.out}: {done:,} of {len(ids[split]):,} images of {split}")
    if problem := report_failures(args.data, "grid", failures):
        raise InputError(problem)


def main(words: list[str] | None = None) -> None:
    """Extract what the command line, or ``words`` instead of it, asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--data", type=Path, required=True, help="holds {split}_ids.txt")
    parser.add_argument("--weights", required=True, help="X-101.pth, imagenet, or random")
    parser.add_argument("--splits", help="as in train,dev; default: every <split>_ids.txt")
    parser.add_argument("--mapping", type=Path, help="JSON: image id -> file inside --images")
    parser.add_argument("--out", default="grids", help="folder inside --data")
    parser.add_argument("--grid_size", type=int, help="average to this side; default: all cells")
    parser.add_argument("--shortest", type=int, default=SHORTEST, help="pixels of a side")
    parser.add_argument("--longest", type=int, default=LONGEST, help="but no more than these")
    parser.add_argument("--dtype", default="float16", choices=("float16", "float32"))
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    args = parser.parse_args(words)
    sizes = (args.shortest, args.longest, args.batch_size, args.grid_size or 1)
    if min(sizes) < 1 or args.grid_size == 0 or args.workers < 0:
        parser.error("sizes must be at least 1, --workers at least 0")
    with reported():
        extract(args)


if __name__ == "__main__":
    main()
