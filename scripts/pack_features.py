"""Packs features of one file per image into one array per split, which loads faster.

python scripts/pack_features.py --config configs/coco_grid.yaml data.root=data
python train.py --config configs/coco_grid.yaml features.folder=grids_packed

Batches are the same. A stopped packing continues when it is started again; a finished pack is
kept, and refused where its files have changed since; --overwrite packs again.
"""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lib  # noqa: F401  # isort: skip - from here on Ctrl-C leaves quietly

import numpy as np
from tqdm import tqdm

from lib.arguments import new_parser
from lib.config import Config, load_config
from lib.data.dataset import entry_loader
from lib.data.feature_files import FeatureFiles
from lib.data.memmap import MemmapArray
from lib.data.pack import is_pack, progress_of, require_source, write_pack
from lib.data.provenance import read_provenance, write_provenance
from lib.data.split import dataset_folder, open_split, pack_source, splits_of
from lib.device import default_workers
from lib.errors import InputError, exit_on_error
from lib.files import read_json


class Exact:
    """Entries as they will be packed: an error where the dtype cannot hold a value."""

    def __init__(self, files: FeatureFiles, dtype: str, rounding: bool):
        self.files, self.dtype, self.rounding = files, dtype, rounding

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, image: int) -> np.ndarray:
        """Image ``image``'s rows in the pack's dtype.

        Raises:
            InputError: a value overflows, or changes although ``rounding`` was not asked for.
        """
        rows = self.files[image]
        with np.errstate(over="ignore"):
            packed = rows.astype(self.dtype)
        if not (np.isfinite(packed).all() if self.rounding else (packed == rows).all()):
            what = "overflows" if self.rounding else "is not exact in"
            raise InputError(
                f"{self.files.path(image)}: {what} {self.dtype}; pack with --dtype float32"
            )
        return packed


def is_ours(array: Path) -> bool:
    """Whether this command made the array, which it may have been stopped in finishing."""
    for path in (array.with_suffix(".json"), progress_of(array)):
        with suppress(InputError):
            found = read_json(path, "record of a pack")
            source = found.get("source", found) if isinstance(found, dict) else None
            if isinstance(source, dict) and "files_sha256" in source:
                return True
    return False


def pack_split(
    config: Config, name: str, out: str | None, dtype: str | None, workers: int, overwrite: bool
) -> None:
    """Pack one split, or continue a stopped packing; a finished pack of the same files is kept.

    Raises:
        InputError: there are no files to pack, or they have changed since they were packed.
    """
    split = open_split(config, name, family_inputs=False, pictures_alone=True)
    features, files, ids = config.features, split.features, split.image_ids
    if not isinstance(files, FeatureFiles):
        raise InputError(
            f"features.folder={features.folder}: is not a folder of one file per image"
        )
    folder = split.folder / (out or f"{str(features.folder).rstrip('/')}_packed")
    if os.path.realpath(folder) == os.path.realpath(files.folder):
        raise InputError(f"{folder}: is the folder to pack; choose another --out")
    pooled = features.type == "grid" and features.grid_size is not None
    lossless = "float16" if files.first_dtype == "float16" and not pooled else "float32"
    shape = (len(ids), *files[0].shape)
    source = pack_source(features, ids)
    source |= {"folder": features.folder, "files_sha256": files.sources_sha256()}
    source |= {"dtype": dtype or lossless}
    array = folder / f"{name}.npy"
    if array.exists() and not is_ours(array):
        raise InputError(f"{array}: is there and is no pack of this command; choose another --out")
    if is_pack(array) and not overwrite:
        require_source(array, source, "pack again with --overwrite")
    else:
        exact = Exact(files, dtype or lossless, rounding=dtype is not None)

        def entries_from(first: int) -> Iterable[np.ndarray]:
            rest = entry_loader(exact, range(first, len(ids)), workers)
            return tqdm(rest, f"packing {name}", len(ids), initial=first, disable=None)

        write_pack(
            array, array.with_suffix(".json"), source, shape, dtype or lossless, entries_from
        )
    if provenance := read_provenance(files.folder / "manifest.json"):
        write_provenance(folder / "manifest.json", provenance)  # as the files'
    pack = MemmapArray(array, len(ids), shape[1:], "cells, channels")
    print(f"{array}: {pack.describe()}, from {features.folder}")


def main(words: list[str] | None = None) -> None:
    """Pack the splits that the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    parser.add_argument("--config", required=True, help="a YAML file, as those in configs/")
    parser.add_argument(
        "--splits", help="to pack, as in train,dev; default: every <split>_caps.txt"
    )
    parser.add_argument("--out", help="folder inside the dataset's; default: <folder>_packed")
    parser.add_argument(
        "--dtype",
        choices=("float16", "float32"),
        help="of the pack; default: the smaller one that loses nothing",
    )
    parser.add_argument(
        "--workers", type=int, default=default_workers(), help="processes that read files"
    )
    parser.add_argument("--overwrite", action="store_true", help="pack again what is packed")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="section.key=value",
        help="settings in place of the config's",
    )
    args = parser.parse_intermixed_args(words)
    if args.workers < 0 or args.out == "":
        parser.error("--workers must be at least 0, and --out no empty name")
    with exit_on_error():
        config = load_config(args.config, args.overrides)
        folder = dataset_folder(config.data.root, config.data.dataset)
        for name in args.splits.split(",") if args.splits else splits_of(folder, "caps"):
            pack_split(config, name, args.out, args.dtype, args.workers, args.overwrite)


if __name__ == "__main__":
    main()
