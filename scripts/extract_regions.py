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

from torch import Tensor

from lib.data.manifest import Manifest
from lib.device import default_workers, resolve_device
from lib.errors import InputError, reported
from lib.extraction.grid import CHANNELS, LONGEST, SHORTEST, load_extractor
from lib.extraction.outputs import ArrayOutput
from lib.extraction.pictures import PictureFolder, decode, split_ids, splits_of
from lib.extraction.regions import REGIONS, RegionExtractor, load_detector
from lib.extraction.runner import as_dtype, report_failures, run


def extract(args: argparse.Namespace) -> None:
    """Extract each split's pictures."""
    splits = splits_of(args.data, args.splits and args.splits.split(","))
    ids = {split: split_ids(args.data, split) for split in splits}
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
        "dtype": args.dtype,
        "batch_size": args.batch_size,
    }
    name = "regions: Faster R-CNN, ResNeXt-101 32x8d"
    manifest = Manifest(name, grid.weights, grid.sha256, settings)
    shapes = {"ims": ((args.regions, CHANNELS), args.dtype)}

    def features(batch: Tensor) -> list[dict]:
        found = extractor(batch.to(device)).cpu().numpy()
        return [{"ims": as_dtype(rows, args.dtype)} for rows in found]

    failures = {}
    for split in splits:
        count = len(ids[split])
        output = ArrayOutput(args.data, split, count, shapes, manifest, args.overwrite)
        failures[split] = run(
            split,
            ids[split],
            lambda image_id: prepare.resize(decode(pictures.find(image_id))),
            features,
            output,
            args.batch_size,
            args.workers,
        )
        state = "whole" if output.complete else "not whole yet"
        print(f"{args.data}/{split}_ims.npy: {count:,} images, {state}")
    if problem := report_failures(args.data, "regions", failures):
        raise InputError(problem)


def main(words: list[str] | None = None) -> None:
    """Extract what the command line, or ``words`` instead of it, asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--data", type=Path, required=True, help="holds {split}_ids.txt")
    parser.add_argument("--weights", default="imagenet", help="X-101.pth, imagenet, or random")
    parser.add_argument("--detector", default="coco", help="coco, a file, or random")
    parser.add_argument("--regions", type=int, default=REGIONS, help="per picture")
    parser.add_argument("--splits", help="as in train,dev; default: every <split>_ids.txt")
    parser.add_argument("--mapping", type=Path, help="JSON: image id -> file inside --images")
    parser.add_argument("--shortest", type=int, default=SHORTEST, help="pixels of a side")
    parser.add_argument("--longest", type=int, default=LONGEST, help="but no more than these")
    parser.add_argument("--dtype", default="float16", choices=("float16", "float32"))
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--overwrite", action="store_true", help="replace finished arrays")
    args = parser.parse_args(words)
    sizes = (args.shortest, args.longest, args.batch_size, args.regions)
    if min(sizes) < 1 or args.workers < 0:
        parser.error("sizes must be at least 1, --workers at least 0")
    with reported():
        extract(args)


if __name__ == "__main__":
    main()
