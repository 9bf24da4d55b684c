"""What the commands share. Ctrl-C while this and its libraries are imported leaves quietly: no
program has begun that would answer it."""

import sys
from types import TracebackType

_show = sys.excepthook


def _unless_interrupted(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        _show(kind, error, trace)


sys.excepthook = _unless_interrupted
