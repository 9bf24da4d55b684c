"""The exception that means: what the user gave is at fault, and the message says how."""

import pickle
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pydantic


class InputError(ValueError):
    """Which file or setting, what was found, what was expected, what to do. Programs print the
    message alone; other exceptions are bugs, and keep their traceback."""

    def __init__(self, message: str):
        # A DataLoader worker hands its exception over as text behind a traceback, and rebuilds it
        # from that text: keep the sentence only.
        super().__init__(message.rsplit("InputError: ", 1)[-1].strip())


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Leave the process with an :class:`InputError`'s message, or with 130 on Ctrl-C, instead of
    a traceback. Every program runs in this block."""
    try:
        yield
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def first_line(error: BaseException) -> str:
    """What an error says, in one line; its kind where it says nothing."""
    if isinstance(error, pickle.UnpicklingError):  # torch's text advises to drop the protection
        return "it is not a PyTorch file of tensors and plain values"
    if isinstance(error, pydantic.ValidationError):  # whose first line only counts the errors
        return error.errors()[0]["msg"]
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def few(names: Iterable[str]) -> str:
    """The first five of many names, and how many more there are."""
    names = list(names)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
