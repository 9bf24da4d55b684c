"""Two stages for a family that scores pairs: a model with vectors names every query's candidates,
and only they are scored."""

import numpy as np
import torch
from tqdm import tqdm

from lib.device import precision_context
from lib.distributed import all_gather_object, interleave, rank, world_size
from lib.evaluation.encode import Embeddings, evaluating
from lib.models.common.retrieval_model import RetrievalModel


def candidates(first: np.ndarray, count: int, folds: int = 1) -> np.ndarray:
    """(n, 5n) float scores of the first stage -> (n, 5n) bool: the ``count`` best captions of each
    image and the ``count`` best images of each caption, all where there are no more; in the whole
    gallery and in each of ``folds`` consecutive parts of it. What either direction names is scored
    for both."""
    chosen = np.zeros(first.shape, bool)
    images, captions = (length // folds for length in first.shape)
    parts = [np.s_[:, :]]
    if folds > 1:
        for i in range(folds):
            rows, columns = (slice(i * size, (i + 1) * size) for size in (images, captions))
            parts.append((rows, columns))
    for part in parts:
        scores, marked = first[part], chosen[part]  # views
        for axis in (0, 1):
            best = min(count, scores.shape[axis])
            places = np.argpartition(scores, -best, axis=axis).take(range(-best, 0), axis=axis)
            np.put_along_axis(marked, places, True, axis=axis)
    return chosen


def rescore(
    first: np.ndarray,
    chosen: np.ndarray,
    embeddings: Embeddings,
    model: RetrievalModel,
    precision: str = "fp32",
) -> np.ndarray:
    """(n, 5n) float32: the ``chosen`` pairs by ``model``; the rest below all of them, in the first
    stage's order. Ranks share the images; the candidates are rank 0's."""
    packed = all_gather_object(np.packbits(chosen) if rank() == 0 else None)[0]
    chosen = np.unpackbits(packed, count=chosen.size).reshape(chosen.shape).astype(bool)
    device = next(model.parameters()).device
    own, rows = range(len(first))[rank() :: world_size()], []
    with evaluating(model), torch.inference_mode(), precision_context(device, precision):
        for image in tqdm(own, "images", leave=False, disable=True if rank() else None):
            places = torch.from_numpy(np.flatnonzero(chosen[image]))
            one = embeddings.images[image : image + 1].to(device)
            rows.append(model.score(one, embeddings.captions[places].to(device))[0].cpu().numpy())
    scores = first - first.max()
    for image, values in enumerate(interleave(all_gather_object(rows))):
        scores[image, chosen[image]] = values
    if chosen.all():
        return scores
    # Subtracting keeps the order of the rest within every row and column.
    scores[~chosen] += scores[chosen].min() - 1
    return scores
