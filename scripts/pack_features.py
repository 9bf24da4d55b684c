"""Packs features of one file per image into one mapped array per split, which loads faster.

python scripts/pack_features.py --config configs/coco_grid.yaml data.root=data
python train.py --config configs/coco_grid.yaml features.folder=grids_packed

Batches are the same. A stopped packing goes on when it is started again; a finished one is only
verified.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tqdm import tqdm

from lib.config import Config, load_config
from lib.data.dataset import row_loader
from lib.data.features import dataset_folder, open_split
from lib.data.folder import FeatureFolder
from lib.data.manifest import read_manifest, write_manifest
from lib.data.pack import Pack, Packer
from lib.device import default_workers
from lib.errors import InputError, reported

AGAIN = "pack again with --overwrite"


def pack_split(config: Config, name: str, args: argparse.Namespace) -> None:
    """Pack one split, or go on with it, and read it back."""
    # Features are packed before there need be a segmentation.
    split = open_split(replace(config, model=replace(config.model, segmentation=False)), name)
    features, img_dim, loose = config.features, config.model.img_dim, split.features
    if not isinstance(loose, FeatureFolder):
        raise InputError(f"features.folder={features.folder}: is no folder of one file per image")
    out = split.folder / (args.out or f"{features.folder.rstrip('/')}_packed")
    if out.resolve() == loose.folder.resolve():
        raise InputError(f"{out}: is the folder to pack; choose another --out")
    pooled = features.type == "grid" and features.grid_size is not None
    exact = "float16" if loose.first_dtype == "float16" and not pooled else "float32"
    dtype, ids = args.dtype or exact, split.image_ids
    rounding = args.dtype is not None
    packer = Packer(out, name, ids, img_dim, features, dtype, rounding, loose.stamp)
    if args.overwrite or packer.unfinished or not Pack.is_at(out, name):
        rest = row_loader(loose, packer.done, args.workers)
        packer.write(tqdm(rest, f"packing {name}", len(ids), initial=packer.done, disable=None))
    if manifest := read_manifest(loose.folder / "manifest.json"):
        write_manifest(out / "manifest.json", manifest)  # a pack's maker is its files'
    pack = Pack(out, name, ids, img_dim, features)
    images = tqdm(range(len(ids)), f"verifying {name}", disable=None)
    for image in images:
        if not pack.is_of(image, loose.stamp(image)):
            raise InputError(f"{loose.path(image)}: changed after it was packed; {AGAIN}")
        if pack.broken(image):
            raise InputError(f"{out / name}.npy: image {ids[image]} is not as packed; {AGAIN}")
    print(f"{out / name}.npy: {pack.describe()}; verified")


def main(words: list[str] | None = None) -> None:
    """Pack the splits that the command line, or ``words`` instead of it, asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True)
    parser.add_argument("--splits", help="as in train,dev; default: every <split>_caps.txt")
    parser.add_argument("--out", help="inside the dataset's folder; default: <folder>_packed")
    parser.add_argument("--dtype", choices=("float16", "float32"), help="default: loses nothing")
    parser.add_argument("--workers", type=int, default=default_workers(), help="that read files")
    parser.add_argument("--overwrite", action="store_true", help="pack what is packed already")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    args = parser.parse_intermixed_args(words)
    with reported():
        config = load_config(args.config, args.overrides)
        folder = dataset_folder(config.data.root, config.data.dataset)
        found = sorted(path.name.removesuffix("_caps.txt") for path in folder.glob("*_caps.txt"))
        if not found:
            raise InputError(f"{folder}: holds no <split>_caps.txt, so no split to pack")
        for name in args.splits.split(",") if args.splits else found:
            pack_split(config, name, args)


if __name__ == "__main__":
    main()
