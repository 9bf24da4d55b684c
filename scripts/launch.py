"""Starts train.py or eval.py in several processes, as torchrun does, with errors of one line.

python scripts/launch.py --standalone --nproc_per_node 4 train.py --config configs/coco_region.yaml

All arguments are torchrun's. Where a process fails, its own line of error is all that is printed.
"""

import logging
import sys

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun


def main() -> None:
    """Run torchrun with the command line's arguments."""
    if sys.argv[1:] in ([], ["-h"], ["--help"]):
        print(__doc__)
        return
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    logging.getLogger("torch.distributed.run").setLevel(logging.ERROR)
    try:
        torchrun(sys.argv[1:])
    except ChildFailedError as error:
        codes = [failure.exitcode for failure in error.failures.values()]
        sys.exit(max(codes) if max(codes) > 0 else 1)
    except SignalException as stopped:  # they were told too, and have saved
        sys.exit(128 + stopped.sigval)


if __name__ == "__main__":
    main()
