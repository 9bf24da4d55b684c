"""Encodes a split: each image once, each caption once, captions batched by length."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from lib.batch import concatenate, map_tensors
from lib.data.captions import CAPTIONS_PER_IMAGE, TokenisedCaptions
from lib.data.dataset import image_loader, text_batches
from lib.data.split import Split
from lib.device import precision_context
from lib.distributed import all_gather_object, interleave, rank, world_size
from lib.evaluation.products import Products, dot, matrix_of
from lib.models.common.retrieval_model import RetrievalModel

Guard = Callable[[Iterable[Any]], Iterable[Any]]  # what work is passed through, piece by piece
PAIR_ROWS, PAIR_COLUMNS = 32, 1000  # images by captions at once, in a family that scores pairs


@dataclass(frozen=True)
class Embeddings:
    """A split encoded, in the split's order, on the CPU."""

    # (n, D) and (5n, D) float32, or rows of files that are read when asked for; in a family that
    # scores pairs n and 5n sets. Of pictures alone, captions are None.
    images: Any
    captions: Any

    def scores(
        self, model: RetrievalModel, precision: str = "fp32", guard: Guard = iter
    ) -> np.ndarray:
        """(n, 5n) float32 by ``model.score``, in evaluation mode; ``precision`` is of what precedes
        the score in a family that scores pairs. ``guard`` gets the pieces of work and may raise
        between two."""
        device = next(model.parameters()).device
        if model.pairwise:
            with evaluating(model):
                return self._pair_scores(model, device, precision, guard)
        return matrix_of(self.blocks(model, precision, guard))

    def blocks(
        self,
        model: RetrievalModel,
        precision: str = "fp32",
        guard: Guard = iter,
        absent: np.ndarray | None = None,
    ) -> Any:
        """The same scores, computed block by block when they are asked for, so that no matrix is
        held; in a family that scores pairs, whose pairs take long, the matrix. Captions that are
        ``absent``, (5n,) bool, score -inf."""
        if model.pairwise:
            matrix = self.scores(model, precision, guard)
            if absent is not None:
                matrix[:, absent] = -np.inf
            return matrix
        device = next(model.parameters()).device  # nothing else of the model is kept

        def on_card(images: np.ndarray, captions: np.ndarray) -> np.ndarray:
            with torch.inference_mode(), precision_context(device, "fp32"):
                one, other = (
                    torch.from_numpy(np.ascontiguousarray(side)).to(device).float()
                    for side in (images, captions)
                )
                return (one @ other.T).cpu().numpy()

        def score(images: np.ndarray, captions: np.ndarray) -> np.ndarray:
            product = dot if device.type == "cpu" else on_card  # torch's is slower in blocks
            (found,) = (product(images, captions) for _ in guard((None,)))
            return found

        images, captions = (
            side.numpy() if isinstance(side, Tensor) else side
            for side in (self.images, self.captions)
        )
        return Products(images, captions, score, absent)

    def _pair_scores(
        self, model: RetrievalModel, device: torch.device, precision: str, guard: Guard
    ) -> Any:
        """In chunks that ranks share; only the current chunk is on the device."""
        matrix = np.empty((len(self.images), len(self.captions)), np.float32)
        row_chunks = _chunks(len(matrix), PAIR_ROWS)
        column_chunks = _chunks(matrix.shape[1], PAIR_COLUMNS)
        chunks = [(rows, columns) for columns in column_chunks for rows in row_chunks]
        own, loaded = chunks[rank() :: world_size()], None
        title = f"{PAIR_ROWS} images by {PAIR_COLUMNS:,} captions"
        with torch.inference_mode(), precision_context(device, precision):
            shown = tqdm(own, title, leave=False, disable=True if rank() else None)
            for rows, columns in guard(shown):
                if columns != loaded:
                    captions, loaded = self.captions[columns].to(device), columns
                scores = model.score(self.images[rows].to(device), captions)
                matrix[rows, columns] = scores.cpu().numpy()
        if world_size() > 1:
            blocks = interleave(all_gather_object([matrix[rows, cols] for rows, cols in own]))
            for (rows, columns), scores in zip(chunks, blocks, strict=True):
                matrix[rows, columns] = scores
        return matrix


@contextmanager
def evaluating(model: RetrievalModel) -> Iterator[None]:
    """A block in which the model is in evaluation mode; its mode is restored."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _chunks(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]


def encode_split(
    model: RetrievalModel,
    split: Split,
    captions: TokenisedCaptions,
    batch_size: int,
    workers: int,
    images: int | None = None,
    precision: str = "fp32",
    guard: Guard = iter,
) -> Embeddings:
    """Encode a split, or its first so many ``images`` and their captions, in evaluation mode, on
    the model's device; the model's mode is restored, and embeddings are float32 in any precision.
    Ranks share the batches, and each gets all embeddings, the same as with one process. ``guard``
    is as in :meth:`Embeddings.scores`. Raises
    InputError: NaN or infinite features."""
    count = min(images or len(split.image_ids), len(split.image_ids))
    return encode_part(model, split, captions, batch_size, workers, range(count), precision, guard)


def encode_part(
    model: RetrievalModel,
    split: Split,
    captions: TokenisedCaptions,
    batch_size: int,
    workers: int,
    images: range,
    precision: str = "fp32",
    guard: Guard = iter,
) -> Embeddings:
    """Consecutive ``images`` of a split and their captions, if it has any; the rest as
    :func:`encode_split` has it."""
    encoded = encode_images(model, split, batch_size, workers, images, precision, guard)
    if not split.captions:
        return Embeddings(encoded, None)
    first, last = (CAPTIONS_PER_IMAGE * number for number in (images.start, images.stop))
    part, name = captions.part(range(first, last)), f"captions of {split.name}"
    return Embeddings(
        encoded, encode_captions(model, part, batch_size, last - first, precision, guard, name)
    )


def encode_images(
    model: RetrievalModel,
    split: Split,
    batch_size: int,
    workers: int,
    images: range,
    precision: str = "fp32",
    guard: Guard = iter,
) -> Any:
    """Consecutive ``images`` of a split; the rest as :func:`encode_split` has it."""
    batches = [images[chunk] for chunk in _chunks(len(images), batch_size)]
    device = next(model.parameters()).device
    with evaluating(model), torch.inference_mode(), precision_context(device, precision):
        own = slice(rank(), None, world_size())
        loader = image_loader(split, batches[own], workers, device.type == "cuda")
        return _encode(model.encode_images, guard(loader), f"images of {split.name}", device)


def encode_captions(
    model: RetrievalModel,
    captions: TokenisedCaptions,
    batch_size: int,
    count: int,
    precision: str = "fp32",
    guard: Guard = iter,
    name: str = "captions",
) -> Any:
    """The first ``count`` captions, in their order; the rest as :func:`encode_split` has it. Equal
    ones are encoded once: in batches of other lengths they would differ in the last bit, which
    decides a tie that should count against the model."""
    together = model.caption_batch
    which = np.arange(count)
    if together is None:  # else encodings depend on the neighbours
        captions, which = captions.distinct(count)
        count = len(captions)
    texts = text_batches(captions, count, together or batch_size, consecutive=together is not None)
    device = next(model.parameters()).device
    with evaluating(model), torch.inference_mode(), precision_context(device, precision):
        own = slice(rank(), None, world_size())
        by_length = _encode(model.encode_texts, guard(texts[own]), name, device)
    place = torch.cat([batch.indices for batch in texts]).argsort()[torch.from_numpy(which)]
    return map_tensors(by_length, lambda tensor: tensor[place])


def _encode(encode: Callable, batches: Iterable[Any], name: str, device: torch.device) -> Any:
    """Encodings, on the CPU, of all ranks' batches, of which this rank has ``batches``."""
    # None hides the bar where there is no terminal.
    bar = tqdm(batches, name, leave=False, disable=True if rank() else None)
    encoded = [map_tensors(encode(batch.to(device)), _on_cpu) for batch in bar]
    return concatenate(interleave(all_gather_object(encoded)))


def _on_cpu(tensor: Tensor) -> Tensor:
    return (tensor.float() if tensor.is_floating_point() else tensor).cpu()
