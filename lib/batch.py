"""Batches: what the encoders receive and return, tensors with one row per item."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.nn.functional import pad

Batch = TypeVar("Batch", bound="Tensors")
Arrays = dict[str, Tensor]  # a family's own arrays, by name


def row_mask(lengths: Tensor, width: int) -> Tensor:
    """True where a row is real: (B,) int64 lengths -> (B, width) bool."""
    return torch.arange(width, device=lengths.device) < lengths[:, None]


def pad_rows(tensor: Tensor, width: int) -> Tensor:
    """(B, N, ...) padded with zeros, or False, to (B, width, ...)."""
    return pad(tensor, (0, 0) * (tensor.dim() - 2) + (0, width - tensor.shape[1]))


class Tensors:
    """A dataclass of tensors, and dicts of tensors, with one row per item."""

    def to(self: Batch, device: torch.device) -> Batch:
        """The same batch on ``device``."""
        # Non-blocking copies overlap with work where the loader pins its memory.
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self: Batch) -> Batch:
        """The same batch in page-locked memory; a DataLoader that pins asks for it."""
        return self.map(Tensor.pin_memory)

    def map(self: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same with every tensor changed."""

        def changed(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: change(tensor) for name, tensor in value.items()}
            return change(value)

        return type(self)(*(changed(getattr(self, f.name)) for f in fields(cast(Any, self))))

    def __len__(self) -> int:
        return len(getattr(self, fields(cast(Any, self))[0].name))

    def __getitem__(self: Batch, rows: slice | Tensor) -> Batch:
        """Some of the items."""
        return self.map(lambda tensor: tensor[rows])


Encoded = TypeVar("Encoded", Tensor, Tensors)  # what an encoder gives: vectors, or sets of them


def map_tensors(encoded: Encoded, change: Callable[[Tensor], Tensor]) -> Encoded:
    """The same with its tensor, or every one of its tensors, changed."""
    return change(encoded) if isinstance(encoded, Tensor) else encoded.map(change)


def concatenate(parts: Sequence[Encoded]) -> Encoded:
    """Parts one after the other; sets are padded to the largest."""
    first: Any = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(list(parts))  # type: ignore[arg-type,return-value]
    columns = ([getattr(part, f.name) for part in parts] for f in fields(first))
    return type(first)(*map(_concatenate_padded, columns))


def _concatenate_padded(tensors: list[Tensor]) -> Tensor:
    width = max(tensor.shape[1] if tensor.dim() > 1 else 0 for tensor in tensors)
    return torch.cat([pad_rows(tensor, width) if width else tensor for tensor in tensors])


@dataclass(frozen=True)
class ImageBatch(Tensors):
    """B images, padded at the end with zero rows to the largest number of regions, K."""

    features: Tensor  # (B, K, img_dim) float32; regions or grid cells
    lengths: Tensor  # (B,) int64; real rows of each image
    indices: Tensor  # (B,) int64; position of the image in its split
    arrays: Arrays = field(default_factory=dict)  # (B, ...) float32 each; the family's inputs

    @property
    def mask(self) -> Tensor:
        """(B, K) bool, true on real rows."""
        return row_mask(self.lengths, self.features.shape[1])


@dataclass(frozen=True)
class PixelBatch(Tensors):
    """B pictures of one size, for a model whose grid comes from a backbone of its own."""

    pixels: Tensor  # (B, 3, S, S) uint8 or float32 in [0, 255], RGB
    cells: Tensor  # (B, side, side) bool; the cells of the pooled map that are kept
    indices: Tensor  # (B,) int64; position of the image in its split
    arrays: Arrays = field(default_factory=dict)  # as in ImageBatch, cropped as the pixels are


@dataclass(frozen=True)
class TextBatch(Tensors):
    """B captions, padded at the end with the tokenizer's padding id to the longest, N."""

    ids: Tensor  # (B, N) int64; the tokenizer's ids, with those that begin and end a caption
    lengths: Tensor  # (B,) int64; ids of each caption
    indices: Tensor  # (B,) int64; position of the caption in its split

    @property
    def mask(self) -> Tensor:
        """(B, N) bool, true on real ids."""
        return row_mask(self.lengths, self.ids.shape[1])
