"""The pictures of a sentence among saved embeddings, by brute force."""

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
from lib.evaluation.scores import read_embeddings


@dataclass(frozen=True)
class Found:
    """A picture that a sentence found."""

    score: float
    image_id: str
    embeddings: Path  # the file that its vector was in


def top(scores: np.ndarray, k: int) -> np.ndarray:
    """Indices of the ``k`` largest of (n,) scores, largest first; equal ones in their order."""
    return np.argsort(-scores, kind="stable")[:k]


def search(
    checkpoint: str,
    embeddings: Sequence[Path],
    queries: Sequence[str],
    k: int,
    locations: dict[str, str],
    device: str = "auto",
) -> list[list[Found]]:
    """The ``k`` best pictures of each query, best first, among files of ``eval.py
    --save_embeddings``; ``locations`` as in :class:`lib.evaluation.opened.Target`. Raises
    InputError: anything wrong with the files, or embeddings of another width."""
    galleries = {path: read_embeddings(path) for path in embeddings}
    place = resolve_device(device)
    model, tokenizer = load_model(load_checkpoint(checkpoint).relocated(locations), checkpoint)
    if model.pairwise:
        raise InputError(f"{checkpoint}: scores pairs, and has no vectors to search among")
    model = model.to(place).eval()
    batches = text_batches(tokenise(list(queries), tokenizer), len(queries), 128)
    results: list[list[Found]] = [[] for _ in queries]
    with torch.inference_mode():
        texts = torch.cat([model.encode_texts(batch.to(place)).float() for batch in batches])
        for path, (images, _, _) in galleries.items():
            if texts.shape[1] != images.shape[1]:
                raise InputError(
                    f"{path}: holds embeddings of width {images.shape[1]}, {checkpoint} makes "
                    f"{texts.shape[1]}; save them again with this checkpoint"
                )
        gallery = np.concatenate([images for images, _, _ in galleries.values()])
        scores = model.score(torch.from_numpy(gallery).to(place), texts).cpu().numpy()
    ids = [(one, path) for path, (_, _, ids) in galleries.items() for one in ids]
    order = torch.cat([batch.indices for batch in batches]).tolist()
    for query, column in zip(order, scores.T, strict=True):
        results[query] = [Found(float(column[i]), *ids[i]) for i in top(column, k)]
    return results
