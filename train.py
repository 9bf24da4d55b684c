"""Train a model: python train.py --config configs/f30k_region.yaml [section.key=value ...]
on several GPUs: torchrun --nproc_per_node 4 train.py --config ..."""

import argparse
import sys

from lib.config import load_config
from lib.errors import InputError
from lib.processes import joined
from lib.training.loop import Run
from lib.training.stop import Stopped


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, help="a YAML file of configs/")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    parser.add_argument("--resume", action="store_true", help="go on with the run in run.out")
    parser.add_argument("--overwrite", action="store_true", help="discard the run in run.out")
    args = parser.parse_intermixed_args()
    try:
        config = load_config(args.config, args.overrides)
        with joined(config.run.device):
            Run(config, args.resume, args.overwrite).fit(sys.argv)
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:  # before training began, or a second Ctrl-C
        sys.exit(130)
    except Stopped as stopped:
        sys.exit(128 + stopped.signum)


if __name__ == "__main__":
    main()
