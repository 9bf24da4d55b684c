"""Opens every file of a dataset as training would, reads all of it, and says what it found.

python scripts/check_data.py --config configs/coco_region.yaml data.root=data
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lib  # noqa: F401  # isort: skip - from here on Ctrl-C leaves quietly

from tqdm import tqdm

from lib.arguments import new_parser
from lib.config import Config, load_config
from lib.data.checksums import array_problem, files_problems
from lib.data.feature_files import FeatureFiles
from lib.data.memmap import MemmapArray
from lib.data.split import Split, dataset_folder, open_split, splits_of
from lib.errors import InputError, exit_on_error


def scan(split: Split) -> list[str]:
    """Read every entry of every array; one line per entry that cannot be used."""
    arrays = {"features": split.features, **split.arrays}
    problems = []
    images = range(len(split.image_ids))
    for image in tqdm(images, f"{split.name}: NaN/Inf", leave=False, disable=None):
        for array in arrays.values():
            try:
                array[image]
            except InputError as error:
                problems.append(f"image {split.image_ids[image]}: {error}")
    return problems


def check(config: Config, name: str, pictures_alone: bool) -> list[str]:
    """Print what a split holds; return its problems. It may be of ``pictures_alone``."""
    print(f"\n{name}")
    try:
        split = open_split(config, name, pictures_alone=pictures_alone)
    except InputError as error:
        return [str(error)]
    per = "image" if split.ids_per_image == 1 else "caption"
    empty = sum(not caption.strip() for caption in split.captions)
    print(f"  images         {len(split.image_ids):,}, one id per {per}")
    if split.captions:
        print(f"  captions       {len(split.captions):,}, {empty} empty")
        print(f"  first          {split.image_ids[0]}: {split.captions[0]!r}")
    else:
        print(f"  captions       none, no {name}_caps.txt: pictures to search among")
    print(f"  features       {split.features.describe()}")
    for label, array in split.arrays.items():
        print(f"  {label:<14} {array.describe()}, {array.path.name}")
    problems = scan(split)
    for array in (split.features, *split.arrays.values()):
        if isinstance(array, MemmapArray) and (problem := array_problem(array.path)):
            problems.append(problem)
    if isinstance(split.features, FeatureFiles):
        problems += files_problems(split.features.folder, split.name)
    print(f"  NaN/Inf scan   {f'{len(problems)} broken entries' if problems else 'clean'}")
    return problems


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--config", required=True, help="a YAML file, as those in configs/")
    parser.add_argument(
        "--splits", help="to check, as in train,dev; default: every <split>_caps.txt"
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="section.key=value",
        help="settings in place of the config's",
    )
    args = parser.parse_intermixed_args()
    with exit_on_error():
        config = load_config(args.config, args.overrides)
        folder = dataset_folder(config.data.root, config.data.dataset)
        splits = args.splits.split(",") if args.splits else splits_of(folder, "caps")
        print(f"{folder}: splits {', '.join(splits)}")
        problems = [p for name in splits for p in check(config, name, bool(args.splits))]
        print()
        for problem in problems:
            print(f"error: {problem}", file=sys.stderr)
        if problems:
            sys.exit(f"{len(problems)} problems")
        print("all files can be used")


if __name__ == "__main__":
    main()
