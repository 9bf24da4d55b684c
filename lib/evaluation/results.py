"""Saved scores and embeddings: ``.npz`` files of plain arrays, written whole or not at all."""

from pathlib import Path

import numpy as np

from lib.files import replacing


def save_results(
    path: str | Path,
    scores: np.ndarray,
    image_ids: list[str],
    dataset: str,
    split: str,
    checkpoint: str,
) -> None:
    """Write ``scores`` (n, 5n) float32, ``image_ids`` (n,), and what they are of.

    Raises:
        InputError: the file cannot be written.
    """
    _save(
        path,
        scores=scores,
        image_ids=np.array(image_ids),
        dataset=np.array(dataset),
        split=np.array(split),
        checkpoint=np.array(checkpoint),
    )


def save_embeddings(
    path: str | Path, images: np.ndarray, captions: np.ndarray, image_ids: list[str]
) -> None:
    """Write ``images`` (n, D), ``captions`` (5n, D), both float32, and ``image_ids`` (n,).

    Raises:
        InputError: the file cannot be written.
    """
    _save(path, images=images, captions=captions, image_ids=np.array(image_ids))


def _save(path: str | Path, **arrays: np.ndarray) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
