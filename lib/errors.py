"""The exception that means: what the user gave is at fault, and the message says how."""

import pickle
import re
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path

import pydantic

MOST = 1500  # characters of an error line; a value of any size may stand in it


class InputError(ValueError):
    """Which file or setting, what was found, what was expected, what to do. Programs print the
    message alone; other exceptions are bugs, whose traceback goes to a file."""

    def __init__(self, message: str):
        # A DataLoader worker hands its exception over as text behind a traceback, and rebuilds it
        # from that text: keep the sentence only.
        super().__init__(message.rsplit("InputError: ", 1)[-1].strip())


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Leave the process with one line instead of a traceback: 1 with an :class:`InputError`'s
    message, or with what an unexpected error was and where its traceback is; 130 on Ctrl-C. Every
    program runs in this block."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # names of files may be of any bytes
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    except InputError as error:
        sys.exit(f"error: {one_line(str(error))}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # as in "| head": nobody reads any more, and nothing can be said
        sys.stderr.close()
        sys.exit(141)
    except Exception as error:
        if "embedded null" in str(error):
            sys.exit("error: a path holds a NUL character, which no file's name can")
        if ended := re.search(r"DataLoader worker \(pid.*|CUDA out of memory", str(error)):
            sys.exit(
                f"error: {one_line(ended[0], 200)}; fewer workers or a smaller "
                "batch take less memory"
            )
        if isinstance(error, OSError) and error.filename is not None:
            sys.exit(f"error: {one_line(f'{error.filename}: {error.strerror}')}")
        sys.exit(f"error: {one_line(_unexpected(error))}")


def _unexpected(error: Exception) -> str:
    """What was being done, what went wrong, and the file with the traceback."""
    command = one_line(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]), 120)
    place = "no traceback could be written"
    with suppress(OSError):
        with tempfile.NamedTemporaryFile(
            "w", prefix="traceback-", suffix=".txt", delete=False, errors="backslashreplace"
        ) as file:
            file.write(f"{' '.join(sys.argv)}\n{''.join(traceback.format_exception(error))}")
        place = f"the full traceback is in {file.name}"
    what = f"{type(error).__name__}: {first_line(error)}"
    return f"unexpected error while running {command}: {what}; {place}"


def one_line(text: str, most: int = MOST) -> str:
    """Text without line breaks, cut in its middle."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most // 2]} [...] {text[-most // 2 :]}"


def first_line(error: BaseException) -> str:
    """What an error says, in one line; its kind where it says nothing."""
    if isinstance(error, pickle.UnpicklingError):  # torch's text advises to drop the protection
        return "it is not a PyTorch file of tensors and plain values"
    if isinstance(error, pydantic.ValidationError):  # whose first line only counts the errors
        return error.errors()[0]["msg"]
    if isinstance(error, OSError) and error.strerror:  # a message names the file already
        return error.strerror
    return one_line((str(error).strip() or type(error).__name__).splitlines()[0], 300)


def few(names: Iterable[str]) -> str:
    """The first five of many names, and how many more there are."""
    names = list(names)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
