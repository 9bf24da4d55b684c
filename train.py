"""Train a model: python train.py --config configs/f30k_region.yaml [section.key=value ...]
on several GPUs: torchrun --nproc_per_node 4 train.py --config ..."""

import argparse
import sys

from lib.config import Config, describe_settings, load_config
from lib.errors import exit_on_error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", help="a YAML file of configs/")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    parser.add_argument("--resume", action="store_true", help="resume the run in run.out")
    parser.add_argument("--overwrite", action="store_true", help="discard the run in run.out")
    parser.add_argument(
        "--settings",
        action="store_true",
        help="print every setting with its type, bounds, default and meaning (those of the "
        "config's model family)",
    )
    args = parser.parse_intermixed_args()
    if not args.config and not args.settings:
        parser.error("the following arguments are required: --config")
    with exit_on_error():
        config = load_config(args.config, args.overrides)
        if args.settings:
            print("\n".join(describe_settings(config.model.family)))
        else:
            train(config, args.resume, args.overwrite)


def train(config: Config, resume: bool, overwrite: bool) -> None:
    """Train to the last epoch, or until a signal stops the run."""
    from lib.distributed import process_group  # they import torch, which settings do without
    from lib.training.loop import Run
    from lib.training.signals import Stopped

    try:
        with process_group(config.run.device):
            Run(config, resume, overwrite).fit(sys.argv)
    except Stopped as stopped:
        sys.exit(128 + stopped.signum)


if __name__ == "__main__":
    main()
