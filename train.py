"""Trains a model, as a config says.

python train.py --config configs/f30k_region.yaml
python train.py --config configs/f30k_region.yaml run.out=runs/mine train.epochs=30
torchrun --nproc_per_node 4 train.py --config configs/f30k_region.yaml      # on four GPUs

The run's folder (run.out) gets the resolved config, the log, TensorBoard's curves and checkpoints.
Ctrl-C and SIGTERM save and exit; --resume continues."""

import sys

from lib.arguments import new_parser
from lib.config import Config, describe_settings, load_config
from lib.errors import exit_on_error


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--config", help="a YAML file, as those in configs/")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="section.key=value",
        help="settings in place of the config's",
    )
    parser.add_argument(
        "--resume", action="store_true", help="continue the run in run.out, or start it"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="start anew, discarding what an earlier run wrote in run.out",
    )
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
