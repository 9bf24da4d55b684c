"""The one reader of PyTorch files: tensors, NumPy arrays and plain values, nothing else."""

import argparse
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.errors import InputError, few, first_line

Shapes = dict[str, tuple[int, ...]]


def read_torch(path: str | Path, kind: str, advice: str = "") -> Any:
    """The content of a PyTorch file of any age, tensors on the CPU, by the weights-only unpickler;
    ``kind`` says what it should be, ``advice`` what to do where there is none. Raises InputError:
    not found, cut short, not a PyTorch file, or it names code."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such {kind}{f'; {advice}' if advice else ''}")
    scalar, array = np.float64(0).__reduce__()[0], np.zeros(1).__reduce__()[0]
    allowed = [
        argparse.Namespace,
        np.ndarray,
        np.dtype,
        scalar,
        array,
        (scalar, "numpy.core.multiarray.scalar"),  # their names before NumPy 2
        (array, "numpy.core.multiarray._reconstruct"),
        *(type(np.dtype(code)) for code in ("f8", "f4", "i8")),
    ]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails inside torch in ways that are not listed
        if foreign := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise InputError(
                f"{path}: refused, because a {kind} may hold tensors and plain values only and "
                f"it names {foreign[1]}; loading it could run foreign code"
            ) from error
        raise InputError(
            f"{path}: cannot be read as a {kind} ({first_line(error)}); "
            f"is it cut short, or a web page? It holds {path.stat().st_size:,} bytes"
        ) from error


def shapes_of(state: dict[str, Any]) -> Shapes:
    """Names and shapes of a state; what is not a tensor has no shape."""
    return {key: tuple(getattr(value, "shape", ())) for key, value in dict(state).items()}


def require_same_shapes(expected: Shapes, found: Shapes, source: str) -> None:
    """Raise InputError, which begins with ``source`` and names the tensors, where a state lacks
    one, has one too many, or one of another shape."""

    def count(names: Iterable[str], problem: str) -> str:
        names = sorted(names)
        return f"{len(names)} tensors {problem}: {few(names)}" if names else ""

    other = [
        f"{key} {found[key]} instead of {shape}"
        for key, shape in expected.items()
        if key in found and found[key] != shape
    ]
    problems = (
        count(expected.keys() - found.keys(), "missing"),
        count(found.keys() - expected.keys(), "unexpected"),
        count(other, "of another shape"),
    )
    if any(problems):
        raise InputError(f"{source}; {'; '.join(filter(None, problems))}")
