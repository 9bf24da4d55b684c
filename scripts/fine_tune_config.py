"""Writes the config of a fine-tuning: a checkpoint's model on another dataset.

python scripts/fine_tune_config.py --checkpoint runs/f8k/region/model_best.pth --dataset mine \\
    --out data/mine_precomp/fine_tune.yaml

Model and features are the checkpoint's; training starts from its weights (train.init) at a tenth of
its rate, on the hardest negatives alone. --print prints instead what the checkpoint's features are:
their type, their number of regions or the grid's side, and the backbone that made them.
"""

import re
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.arguments import dataset_arg, new_parser, path_arg
from lib.checkpoint import Checkpoint, load_checkpoint, source_of
from lib.config import from_dict
from lib.errors import InputError, exit_on_error
from lib.files import atomic_write
from lib.models.family import backbone_problem
from lib.outputs import check_outputs

NAMED = {"ResNeXt-101 32x8d": "resnext101_32x8d"}  # by their names in manifests
REGIONS = 36  # of a model that takes any number
EPOCHS, BATCH, RATE = 10, 32, 0.1


def config_of(checkpoint: Checkpoint, path: Path, dataset: str) -> str:
    """The YAML text of the fine-tuning's config."""
    values = checkpoint.config.to_dict()
    values["data"] |= {"dataset": dataset, "root": "data"}
    values["train"] |= {
        "init": str(path), "epochs": EPOCHS, "batch_size": BATCH, "decay_epoch": EPOCHS // 2,
        "lr": values["train"]["lr"] * RATE, "sum_epochs": 0,
    }  # fmt: skip
    values["run"] |= {"out": f"runs/{dataset}/fine_tuned"}
    return from_dict(values, str(path)).to_yaml()


def features_of(checkpoint: Checkpoint, path: Path) -> str:
    """Type, size and backbone of the features, between blanks. Raises InputError: they cannot be
    made from pictures as the checkpoint's were."""
    features, extractors = checkpoint.config.features, checkpoint.progress.get("extractors") or {}
    made = extractors.get("features")
    if features.type not in ("region", "grid") or made is None:
        raise InputError(
            f"{path}: does not tell what made its features, so that the same cannot be made here"
        )
    name = re.split(r": |, ", made["extractor"])[-1]
    backbone = NAMED.get(name, name)
    if backbone_problem(backbone):
        raise InputError(f"{path}: what made its features, {name}, is not among our extractors")
    if features.type == "region":
        return f"region {features.regions or REGIONS} {backbone}"
    return f"grid {features.grid_size or 'all'} {backbone}"


def require_same(text: str, path: Path) -> None:
    """The rule for the config: nothing of another content is replaced."""
    if path.read_bytes() != text.encode():
        raise InputError(f"{path}: is there with another content; choose another --out")


def main(words: list[str] | None = None) -> None:
    """Write or print what the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "--checkpoint",
        type=path_arg,
        required=True,
        help="a run's folder, or a checkpoint, to start from",
    )
    parser.add_argument(
        "--dataset", type=dataset_arg, default="mine", help="name of the dataset to fine-tune on"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=path_arg, help="the YAML file to write")
    what.add_argument("--print", action="store_true", help="print the features instead")
    args = parser.parse_args(words)
    with exit_on_error():
        args.checkpoint = Path(source_of(args.checkpoint))
        checkpoint = load_checkpoint(args.checkpoint)
        if args.print:
            print(features_of(checkpoint, args.checkpoint))
            return
        text = config_of(checkpoint, args.checkpoint, args.dataset)
        check_outputs([(args.out, partial(require_same, text))], [args.checkpoint])
        with atomic_write(args.out) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
