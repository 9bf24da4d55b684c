"""Renders the demo world and all its files.

python -m lib.demo.scenes --out data/scenes_precomp --train 1200 --dev 200 --test 250"""

import math
import os
from dataclasses import asdict

# NumPy reads it once, when imported. Pictures share out the cores, a process each: the threads of
# its many small products would only wait for one another, and doubled the time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from lib.arguments import new_parser, path_arg
from lib.demo.scenes.files import write_world
from lib.demo.scenes.things import PALETTES
from lib.demo.scenes.world import SPLITS, World
from lib.errors import exit_on_error

HELP = {
    "seed": "of everything that is drawn",
    "domain": "palette, mix of categories and phrasing",
    "train": "pictures of the training split",
    "dev": "pictures of the dev split",
    "test": "pictures of the test split",
    "regions": "regions of a picture",
    "img_dim": "width of a region's and a cell's features",
    "map_size": "side of the label maps",
    "missed": "share of things around which the detector proposes no region",
    "box_noise": "standard deviation of a box's edges, in shares of its sides",
    "missed_relations": "share of relations that are left out",
    "false_relations": "relations that are made up, in shares of the true ones",
    "dtype": "of the float arrays",
}


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--out", type=path_arg, required=True, help="folder to write into, as data/scenes_precomp"
    )
    for name, default in asdict(World()).items():
        text = HELP[name]
        choices = {"domain": tuple(PALETTES), "dtype": ("float16", "float32")}.get(name)
        parser.add_argument(
            f"--{name}", type=type(default), default=default, choices=choices, help=text
        )
    args = vars(parser.parse_args())
    folder = args.pop("out")
    if min(args[name] for name in (*SPLITS, "regions", "img_dim", "map_size")) < 1:
        parser.error("sizes must be at least 1")
    for name in ("missed", "missed_relations", "box_noise", "false_relations", "seed"):
        most = 1.0 if name.startswith("missed") else math.inf
        if not 0 <= args[name] <= most or args[name] == math.inf:
            parser.error(f"--{name} must be from 0" + (" to 1" if most == 1 else ""))
    with exit_on_error():
        written = write_world(World(**args), folder)
        print(f"{folder}: {'written' if written else 'already there'}")


if __name__ == "__main__":
    main()
