"""The exception that means: what the user gave is at fault, and the message says how."""

import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Which file or setting, what was found, what was expected, what to do.

    Entry scripts print the message alone; every other exception keeps its traceback, because it
    is a bug of ours.
    """

    def __init__(self, message: str):
        # A DataLoader worker hands its exception over as text behind a traceback, and rebuilds it
        # from that text: keep the sentence only.
        super().__init__(message.rsplit("InputError: ", 1)[-1].strip())


@contextmanager
def reported() -> Iterator[None]:
    """Leave the process with an :class:`InputError`'s message, or with 130 on Ctrl-C, instead of
    a traceback: what entry scripts run in."""
    try:
        yield
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def first_line(error: Exception) -> str:
    """What an error says, in one line; its kind where it says nothing."""
    if isinstance(error, pickle.UnpicklingError):  # torch's text advises to drop the protection
        return "it is no PyTorch file of tensors and plain values"
    return (str(error).strip() or type(error).__name__).splitlines()[0]


BERT_ADVICE = (
    "Where the hub cannot be reached, pass a local folder (model.bert=FOLDER to train.py, "
    "--bert FOLDER to eval.py) with "
)
