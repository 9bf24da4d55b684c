"""The one reader of PyTorch files: tensors, NumPy arrays and plain values, nothing else."""

import argparse
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lib.errors import InputError, few, first_line
from lib.files import is_file

Shapes = dict[str, tuple[int, ...]]


def read_torch(path: str | Path, kind: str, advice: str = "", verify: bool = True) -> Any:
    """The content of a PyTorch file of any age, tensors on the CPU, by the weights-only unpickler;
    ``kind`` says what it should be, ``advice`` what to do where there is none, and ``verify``
    compares the file with its own checksums first. Raises InputError: not found, cut short,
    changed since it was written, not a PyTorch file, or it names code."""
    path = Path(path)
    if not is_file(path):
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
        if verify and (changed := _changed(path)):
            raise InputError(
                f"{path}: is damaged: {changed} differs from its checksum; copy or download it "
                "again"
            )
        with torch.serialization.safe_globals(allowed):
            content = torch.load(path, map_location="cpu", weights_only=True)
        for name, tensor in tensors_of(content):
            # A view of stride 0 takes no room in a file, and any amount of it when copied.
            if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
                raise InputError(f"{path}: {name} is a view that is larger than what it shows")
        return content
    except InputError:
        raise
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


def read_state(path: str | Path, kind: str, advice: str = "") -> dict[str, Any]:
    """Names and values of a state dict, or of a safetensors file; as it is, or under ``model`` or
    ``state_dict``. Raises InputError: as :func:`read_torch`, or it holds no names and values."""
    if Path(path).suffix == ".safetensors":
        if not is_file(Path(path)):
            raise InputError(f"{path}: no such {kind}{f'; {advice}' if advice else ''}")
        try:
            return load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read as a {kind} ({first_line(error)})") from error
    content = read_torch(path, kind, advice)
    state = content
    if isinstance(content, dict):
        state = content.get("model", content.get("state_dict", content))
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise InputError(f"{path}: is not a {kind}: it has no dict of names under model")
    return state


def _changed(path: Path) -> str | None:
    """The first member of a PyTorch file whose bytes are not those of its checksum, or None; files
    from before PyTorch 1.6 have none."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as file:
        size = path.stat().st_size
        for member in file.infolist():  # PyTorch compresses nothing; what is compressed may be huge
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > size:
                raise InputError(f"{path}: is no PyTorch file: {member.filename} is compressed")
        return file.testzip()


def tensors_of(content: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor of nested dicts, lists and tuples, with its path."""
    if isinstance(content, Tensor):
        yield name or "it", content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from tensors_of(value, f"{name}.{key}" if name else str(key))
    elif isinstance(content, list | tuple):
        for number, value in enumerate(content):
            yield from tensors_of(value, f"{name}.{number}" if name else str(number))


def require_same_dtypes(expected: dict[str, Any], found: dict[str, Any], source: str) -> None:
    """Raise InputError, which begins with ``source``, where a tensor of ``found`` cannot become its
    namesake of ``expected`` exactly: floats may become wider, and nothing else changes."""
    for name, tensor in expected.items():
        dtype = found[name].dtype
        widens = dtype.is_floating_point and torch.promote_types(dtype, tensor.dtype)
        if dtype != tensor.dtype and widens != tensor.dtype:
            raise InputError(f"{source}; {name} holds {dtype}, expected {tensor.dtype}")


def shapes_of(state: dict[str, Any]) -> Shapes:
    """Names and shapes of a state; what is not a tensor has no shape."""
    return {key: tuple(getattr(value, "shape", ())) for key, value in dict(state).items()}


def require_same_shapes(expected: Shapes, found: Shapes, source: str) -> None:
    """Raise InputError, which begins with ``source`` and names the tensors, where a state lacks
    one, has one too many, or one of another shape."""
    if problems := shape_problems(expected, found):
        raise InputError(f"{source}; {problems}")


def shape_problems(expected: Shapes, found: Shapes) -> str:
    """What :func:`require_same_shapes` finds wrong, or an empty text."""

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
    return "; ".join(filter(None, problems))
