"""Checkpoint files: our own format and the public release's, read safely, written whole."""

import argparse
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertModel

from lib.config import Config, from_dict
from lib.errors import InputError, first_line
from lib.files import replacing
from lib.models import build_model
from lib.released import dataset_of, from_released, released_name, to_released

FORMAT = "3SHNet"
VERSION = 1


@dataclass
class Checkpoint:
    """Weights and what belongs to them, whichever file they came from."""

    config: Config
    model: dict[str, Tensor]
    progress: dict[str, Any] = field(default_factory=dict)  # epoch, step, rsum, best_rsum
    training: dict[str, Any] | None = None  # optimizer and random states; None: not resumable
    released: dict[str, Any] | None = None  # metadata of a released file, as plain values
    is_released: bool = False  # read from the release's format

    @property
    def source(self) -> str | None:
        """The dataset it was trained on; None where a released file does not say."""
        if self.released is not None and dataset_of(self.released.get("opt")) is None:
            return None
        return self.config.data.dataset


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write our own format; the file at ``path`` is replaced only when the new one is whole.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    plain = {
        "format": FORMAT,
        "version": VERSION,
        "config": checkpoint.config.to_dict(),
        "model": checkpoint.model,
        "progress": checkpoint.progress,
        "training": checkpoint.training,
        "released": checkpoint.released,
    }
    _write(path, plain)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read our own format or a released file, tensors on the CPU.

    Raises:
        InputError: no such file, cut short, unsafe content, or another architecture.
    """
    raw = _read(Path(path))
    if isinstance(raw, dict) and raw.get("format") == FORMAT:
        if (found := raw.get("version")) != VERSION:
            raise InputError(f"{path}: has version {found}, this code reads version {VERSION}")
        missing = {"config", "model", "progress", "training", "released"} - raw.keys()
        if missing:
            raise InputError(f"{path}: lacks {', '.join(sorted(missing))}")
        config = from_dict(raw["config"], str(path))
        return Checkpoint(config, *(raw[k] for k in ("model", "progress", "training", "released")))
    if isinstance(raw, dict) and isinstance(raw.get("model"), list) and len(raw["model"]) == 2:
        return _load_released(raw, path)
    found = f"a dict with {', '.join(map(str, list(raw)[:6]))}" if isinstance(raw, dict) else raw
    raise InputError(
        f"{path}: is neither a checkpoint of this project nor a released 3SHNet or VSE-infinity "
        f"one (found {found if isinstance(found, str) else type(raw).__name__})"
    )


def load_weights(model: nn.Module, checkpoint: Checkpoint, path: str | Path) -> None:
    """Copy the checkpoint's tensors into ``model``, all of them or none.

    Raises:
        InputError: missing, unexpected or differently shaped tensors, by name.
    """
    _compare(_shapes(model.state_dict()), _shapes(checkpoint.model), path)
    model.load_state_dict(checkpoint.model)


def _load_released(raw: dict[str, Any], path: str | Path) -> Checkpoint:
    try:
        config, bert, state, metadata = from_released(raw)
    except KeyError as error:
        raise InputError(f"{path}: lacks {error.args[0]}, which every released file has") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is no released checkpoint ({first_line(error)})") from error
    with torch.device("meta"):
        expected = build_model(config.model, BertModel(bert)).state_dict()
    _compare(_shapes(expected), _shapes(state), path, released_name)
    progress = {"epoch": metadata.get("epoch"), "best_rsum": metadata.get("best_rsum")}
    return Checkpoint(config, state, progress, released=metadata, is_released=True)


def save_released(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint as the public release saves and loads it, atomically.

    Raises:
        InputError: a model that the release has no place for, or the file cannot be written.
    """
    model = checkpoint.config.model
    if model.title not in ("3SHNet", "VSE-infinity") or model.backbone is not None:
        found = model.title if model.backbone is None else f"a backbone ({model.backbone})"
        raise InputError(f"{path}: the release has no place for {found}")
    raw = to_released(checkpoint.config, checkpoint.model, checkpoint.progress, checkpoint.released)
    _write(path, raw)


def _write(path: str | Path, content: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:  # so torch reports a full disk, without saying so
            raise OSError(f"is the disk full? {first_line(error)}") from error


def _read(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint file")
    scalar = np.float64(0).__reduce__()[0]
    allowed = [
        argparse.Namespace,
        scalar,
        (scalar, "numpy.core.multiarray.scalar"),  # its name before NumPy 2
        np.dtype,
        *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8")),
    ]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails inside torch in ways that are not listed
        foreign = re.search(r"GLOBAL ([\w.]+)", str(error))
        if foreign:
            raise InputError(
                f"{path}: refused, because a checkpoint may hold tensors and plain values only and "
                f"it names {foreign[1]}; loading it could run foreign code"
            ) from error
        raise InputError(
            f"{path}: cannot be read as a checkpoint ({first_line(error)}); "
            f"is it cut short, or a web page? It holds {path.stat().st_size:,} bytes"
        ) from error


def _shapes(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items()}


def _compare(
    expected: dict[str, tuple[int, ...]],
    found: dict[str, tuple[int, ...]],
    path: str | Path,
    rename: Callable[[str], str] = str,
) -> None:
    def listing(label: str, names: Iterable[str]) -> str:
        names = sorted(names)
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        return f"{len(names)} {label}: {', '.join(names[:5])}{more}" if names else ""

    shapes = [
        f"{rename(key)} {found[key]} instead of {shape}"
        for key, shape in expected.items()
        if key in found and found[key] != shape
    ]
    problems = (
        listing("tensors missing", map(rename, expected.keys() - found.keys())),
        listing("tensors unexpected", map(rename, found.keys() - expected.keys())),
        listing("tensors of another shape", shapes),
    )
    if any(problems):
        raise InputError(f"{path}: does not fit the model; " + "; ".join(filter(None, problems)))
