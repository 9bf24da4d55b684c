"""The pictures of a sentence among saved embeddings: by brute force, or by an index."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lib.checkpoint import load_checkpoint, load_model
from lib.data.captions import tokenise
from lib.data.dataset import text_batches
from lib.device import resolve_device
from lib.errors import InputError
from lib.evaluation.encode_shards import identity_of
from lib.evaluation.evaluator import origin_of
from lib.evaluation.vectors import Vectors, require_checkpoint, require_training, require_width


@dataclass(frozen=True)
class Found:
    """A picture that a sentence found."""

    score: float
    image_id: str
    embeddings: Path  # the file or folder that its vector was in


def best_of(vectors: Sequence[Vectors], queries: np.ndarray, k: int) -> list[list[Found]]:
    """The ``k`` best pictures of each of (q, D) float32 queries among all ``vectors``, best first;
    equal ones in the order of the files."""
    results: list[list[Found]] = [[] for _ in queries]
    for one in vectors:
        for result, scores, numbers in zip(results, *one.search(queries, k), strict=True):
            result += [
                Found(float(score), one.ids[int(number)], one.path)
                for score, number in zip(scores, numbers, strict=True)
                if number >= 0
            ]
    return [sorted(result, key=lambda found: -found.score)[:k] for result in results]


def search(
    checkpoint: str,
    embeddings: Sequence[Vectors],
    queries: Sequence[str],
    k: int,
    locations: dict[str, str],
    device: str = "auto",
) -> list[list[Found]]:
    """The ``k`` best pictures of each query, best first; ``locations`` as in
    :class:`lib.evaluation.opened.Target`. Raises InputError: anything wrong with the checkpoint, or
    embeddings of another one."""
    place = resolve_device(device)
    loaded = load_checkpoint(checkpoint)
    model, tokenizer = load_model(loaded.relocated(locations), checkpoint)
    if model.pairwise:
        raise InputError(f"{checkpoint}: scores pairs, and has no vectors to search among")
    model = model.to(place).eval()
    batches = text_batches(tokenise(list(queries), tokenizer), len(queries), 128)
    with torch.inference_mode():
        texts = torch.cat([model.encode_texts(batch.to(place)).float().cpu() for batch in batches])
    if any(one.checkpoint is not None for one in embeddings):
        require_checkpoint(embeddings, checkpoint, identity_of(checkpoint))
    origin = origin_of(checkpoint, loaded, loaded.config.features)
    require_training(embeddings, origin, features=loaded.released is None)
    require_width(embeddings, texts.shape[1], checkpoint)
    order = torch.cat([batch.indices for batch in batches]).argsort()
    return best_of(embeddings, texts[order].numpy(), k)
