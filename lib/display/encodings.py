"""Encodings of a split, made once and kept beside the checkpoint that made them."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from lib.errors import InputError, first_line
from lib.evaluation.encode import Embeddings
from lib.files import atomic_write

ABOUT = "image-sentence encodings"  # the key of the metadata
Key = dict[str, Any]  # plain: of what the encodings are


def kept(path: Path, key: Key, make: Callable[[int | None], Embeddings]) -> tuple[Embeddings, bool]:
    """The encodings in ``path`` if they are of ``key``; else those that ``make(None)`` gives, which
    are written there. The second part tells whether they were there. ``make(1)`` encodes one image
    and its captions, whose types say how a file is put together again. Raises InputError: the file
    is of another program, or cannot be written."""
    if path.exists() and _key_of(path) == key:
        return _read(path, make(1)), True
    found = make(None)
    tensors = {
        name: tensor.contiguous()
        for side in ("images", "captions")
        for name, tensor in _named(side, getattr(found, side)).items()
    }
    with atomic_write(path) as temporary:
        try:
            save_file(tensors, temporary, {ABOUT: json.dumps(key, sort_keys=True)})
        except Exception as error:  # safetensors has an exception of its own for a full disk
            raise OSError(first_line(error)) from error
    return found, False


def _key_of(path: Path) -> Any:
    """What a file's encodings are of. Raises InputError: it is no whole file of encodings."""
    try:
        with safe_open(path, "pt") as file:
            return json.loads((file.metadata() or {})[ABOUT])
    except Exception as error:
        raise InputError(
            f"{path}: is there and holds no encodings of a gallery ({first_line(error)}); remove "
            "it, or choose another folder with --keep"
        ) from error


def _named(side: str, encoded: Any) -> dict[str, Tensor]:
    if isinstance(encoded, Tensor):
        return {side: encoded}
    return {f"{side}.{f.name}": getattr(encoded, f.name) for f in fields(cast(Any, encoded))}


def _read(path: Path, like: Embeddings) -> Embeddings:
    tensors = load_file(path)
    sides = []
    for side, template in (("images", like.images), ("captions", like.captions)):
        if isinstance(template, Tensor):
            sides.append(tensors[side])
        else:
            named = (tensors[f"{side}.{f.name}"] for f in fields(template))
            sides.append(type(template)(*named))
    if not all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point()):
        raise InputError(f"{path}: holds NaN; the model that made it was broken")
    return Embeddings(*sides)
