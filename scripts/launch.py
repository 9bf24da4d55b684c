"""Starts train.py or eval.py in several processes, as torchrun does, with errors of one line.

python scripts/launch.py --standalone --nproc_per_node 4 train.py --config configs/coco_region.yaml

All arguments are torchrun's. Where a process fails, its own line of error is all that is printed.
"""

import logging
import os
import sys


def main() -> None:
    """Run torchrun with the command line's arguments."""
    if sys.argv[1:] in ([], ["-h"], ["--help"]):
        print(__doc__)
        return
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")  # else frames of C++ for every try
    # torch takes seconds to import, which help need not wait for.
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous.api import RendezvousError
    from torch.distributed.run import main as torchrun

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    logging.getLogger("torch.distributed.run").setLevel(logging.ERROR)
    try:
        torchrun(sys.argv[1:])
    except ChildFailedError as error:
        codes = [failure.exitcode for failure in error.failures.values()]
        sys.exit(max(codes) if max(codes) > 0 else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except (RuntimeError, RendezvousError) as error:
        why = str(error).strip().split("\n")[0]
        sys.exit(f"error: the processes could not meet ({why}); RENDEZVOUS, or --rdzv_endpoint, is "
                 "the address of one of the machines, with a port that is free there")  # fmt: skip
    except SignalException as stopped:  # they were told too, and have saved
        sys.exit(128 + stopped.sigval)


if __name__ == "__main__":
    main()
