"""What the encoders receive: tensors that travel with their lengths; what they give, in parts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

Batch = TypeVar("Batch", bound="Tensors")


def row_mask(lengths: Tensor, width: int) -> Tensor:
    """True where a row is real: (B,) int64 lengths -> (B, width) bool."""
    return torch.arange(width, device=lengths.device) < lengths[:, None]


class Tensors:
    """A dataclass of tensors with one row per item, or None, that move together."""

    def to(self: Batch, device: torch.device) -> Batch:
        """The same batch on ``device``."""
        # Non-blocking copies overlap with work where the loader pins its memory.
        return self.each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self: Batch) -> Batch:
        """The same batch in page-locked memory; a DataLoader that pins asks for it."""
        return self.each(Tensor.pin_memory)

    def each(self: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same with every tensor changed."""
        values = (getattr(self, field.name) for field in fields(self))
        return type(self)(*(v if v is None else change(v) for v in values))

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def __getitem__(self: Batch, rows: slice | Tensor) -> Batch:
        """Some of the items."""
        return self.each(lambda tensor: tensor[rows])


Encoded = TypeVar("Encoded", Tensor, Tensors)  # what an encoder gives: vectors, or sets of them


def each(encoded: Encoded, change: Callable[[Tensor], Tensor]) -> Encoded:
    """The same with its tensor, or every one of its tensors, changed."""
    return change(encoded) if isinstance(encoded, Tensor) else encoded.each(change)


def widened(tensor: Tensor, width: int) -> Tensor:
    """(B, N, ...) padded with zeros, or False, to (B, width, ...)."""
    return pad(tensor, (0, 0) * (tensor.dim() - 2) + (0, width - tensor.shape[1]))


def concatenated(parts: Sequence[Encoded]) -> Encoded:
    """Parts one after the other; sets are padded to the largest."""
    if isinstance(parts[0], Tensor):
        return torch.cat(list(parts))
    fields_of = ([getattr(part, field.name) for part in parts] for field in fields(parts[0]))
    return type(parts[0])(*(_concatenated(tensors) for tensors in fields_of))


def _concatenated(tensors: list[Tensor | None]) -> Tensor | None:
    if tensors[0] is None:
        return None
    if tensors[0].dim() > 1:
        width = max(tensor.shape[1] for tensor in tensors)
        tensors = [widened(tensor, width) for tensor in tensors]
    return torch.cat(tensors)


@dataclass(frozen=True)
class ImageBatch(Tensors):
    """B images, padded at the end with zero rows to the largest number of regions, K.

    The three segmentation arrays are None for a model that does not use them.
    """

    features: Tensor  # (B, K, img_dim) float32; regions or grid cells
    lengths: Tensor  # (B,) int64; real rows of each image
    indices: Tensor  # (B,) int64; position of the image in its split
    semantic: Tensor | None = None  # (B, categories, cells, cells) float32; shares in [0, 1]
    seg_map: Tensor | None = None  # (B, map_size, map_size) float32; raw category numbers
    categories: Tensor | None = None  # (B, categories) float32; one where present
    # None for a model that has no graphs.
    boxes: Tensor | None = None  # (B, K, 4) float32; x1, y1, x2, y2 in pixels
    relations: Tensor | None = None  # (B, K, K) float32; 1 where row relates to column

    @property
    def mask(self) -> Tensor:
        """(B, K) bool, true on real rows."""
        return row_mask(self.lengths, self.features.shape[1])

    def widened(self, width: int) -> "ImageBatch":
        """The same images with rows of padding up to ``width``."""
        features, boxes, relations = self.features, self.boxes, self.relations
        if relations is not None:
            relations = widened(widened(relations, width).transpose(1, 2), width).transpose(1, 2)
        boxes = None if boxes is None else widened(boxes, width)
        return replace(self, features=widened(features, width), boxes=boxes, relations=relations)


@dataclass(frozen=True)
class PixelBatch(Tensors):
    """B pictures of one size, for a model whose grid comes from a backbone of its own."""

    pixels: Tensor  # (B, 3, S, S) uint8, RGB
    cells: Tensor  # (B, side, side) bool; the cells of the pooled map that stay
    indices: Tensor  # (B,) int64; position of the image in its split
    semantic: Tensor | None = None  # as in ImageBatch, seen through the same window as the pixels
    seg_map: Tensor | None = None
    categories: Tensor | None = None


@dataclass(frozen=True)
class TextBatch(Tensors):
    """B captions, padded at the end with id 0 to the longest, N."""

    ids: Tensor  # (B, N) int64; WordPiece ids with [CLS] and [SEP]
    lengths: Tensor  # (B,) int64; [CLS] and [SEP] counted
    indices: Tensor  # (B,) int64; position of the caption in its split

    @property
    def mask(self) -> Tensor:
        """(B, N) bool, true on real pieces."""
        return row_mask(self.lengths, self.ids.shape[1])
