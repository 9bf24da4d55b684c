"""A checkpoint written as its family's public release saves and loads it."""

import argparse
from pathlib import Path
from typing import Any

from lib.checkpoint import Checkpoint, write_torch
from lib.config import Config
from lib.errors import InputError
from lib.models import family_of


def released_files(checkpoint: Checkpoint) -> dict[str, str]:
    """Name and content of the text files that belong beside the checkpoint's released file."""
    layout = family_of(checkpoint.config.model).released
    opt = (checkpoint.released or {}).get("opt") or _data_options(checkpoint.config)
    return {} if layout is None else layout.files(checkpoint.tokenizer, opt)


def _data_options(config: Config) -> dict[str, Any]:
    return {"data_path": config.data.root, "data_name": f"{config.data.dataset}_precomp"}


def save_released(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint as its family's public release saves and loads it, atomically, without
    :func:`released_files`. Raises InputError: a model that the release has no place for, or the
    file cannot be written."""
    config = checkpoint.config
    family = family_of(config.model)
    layout = family.released
    refused = family.title(config.model) if layout is None else layout.refusal(config.model)
    if layout is None or refused:
        raise InputError(f"{path}: the release has no place for {refused}")
    metadata = dict(checkpoint.released or {})
    features, extras = config.features.model_dump(), metadata.pop("extras", {})
    states, opt = layout.write(config.model, features, checkpoint.model, extras)
    opt |= _data_options(config)
    opt = metadata.pop("opt", None) or opt | {"margin": config.train.margin}
    if not metadata:  # of a run of ours
        done = checkpoint.progress
        metadata = {"epoch": done.get("epoch", 0), "best_rsum": done.get("best_rsum", 0.0)}
        metadata["Eiters"] = done.get("updates", 0)
    write_torch(path, metadata | {"opt": argparse.Namespace(**opt), "model": states})
