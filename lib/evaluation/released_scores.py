"""Result files of the public release: a dict {'npts', 'sims'}, pickled by NumPy inside ``.npy``.

Nothing that a pickle names is ever imported or called. What NumPy's own arrays name is replaced by
the stand-ins below, which only keep what they are given; everything else is refused."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import InputError, first_line

NUMBERS = re.compile(r"[fiub][1248]")


class _Dtype:
    """Stands in for ``numpy.dtype``."""

    def __init__(self, code: str, *_: object):
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]

    def numbers(self) -> np.dtype:
        code = str(self.code)
        if not NUMBERS.fullmatch(code) or self.order not in ("<", ">", "|", "="):
            raise ValueError(f"it holds an array of {code!r}, not of numbers")
        return np.dtype(self.order + code)


class _Array:
    """Stands in for ``numpy.ndarray``; a pickled array names it and sets its state later."""

    def __init__(self, *_: object):
        self.state: tuple = ()

    def __setstate__(self, state: tuple) -> None:
        self.state = state

    def content(self) -> Any:
        """The object of a 0-dimensional array of objects, or an array of numbers."""
        _, shape, dtype, fortran, raw = self.state
        if isinstance(raw, list):
            if len(raw) != 1:
                raise ValueError(f"it holds an array of {len(raw)} objects")
            return raw[0]
        array = np.frombuffer(raw, dtype.numbers())
        return array.reshape(shape, order="F" if fortran else "C")


def _scalar(dtype: _Dtype, raw: bytes) -> float:
    return np.frombuffer(raw, dtype.numbers())[0].item()


def _latin1(text: str, encoding: str) -> bytes:  # how protocol 2 spells bytes
    if encoding != "latin1":
        raise ValueError(f"it asks for encoding {encoding!r}")
    return text.encode("latin1")


MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
STAND_INS = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _latin1,
    **{(module, "_reconstruct"): _Array for module in MULTIARRAY},
    **{(module, "scalar"): _scalar for module in MULTIARRAY},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in STAND_INS:
            raise _RefusedError(f"{module}.{name}")
        return STAND_INS[module, name]


class _RefusedError(Exception):
    pass


def read_released_scores(path: Path) -> np.ndarray:
    """The ``sims`` of a released result file, (n, 5n) float. Raises InputError: damaged, anything
    but NumPy arrays and plain values inside, or no such dict."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ValueError(f"it has .npy version {version}")
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            if not dtype.hasobject:
                raise ValueError(f"it holds an array {shape} of {dtype}")
            found = _Unpickler(file).load().content()
        if not isinstance(found, dict) or not found.keys() >= {"npts", "sims"}:
            raise ValueError("it holds no dict of npts and sims")
        sims = found["sims"].content() if isinstance(found["sims"], _Array) else None
        if not isinstance(sims, np.ndarray):
            raise ValueError("its sims are not an array of numbers")
        return sims
    except _RefusedError as error:
        raise InputError(
            f"{path}: refused, because a result file may hold NumPy arrays and plain values only "
            f"and it names {error}; loading it could run foreign code"
        ) from None
    except Exception as error:  # damaged pickles fail in ways that are not listed
        raise InputError(
            f"{path}: is not a result file of the public release ({first_line(error)})"
        ) from error
