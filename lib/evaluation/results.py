"""Saved scores and embeddings: ``.npz`` files of plain arrays, written whole or not at all."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lib.files import replacing

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Origin:
    """Whose scores they are."""

    checkpoint: str = UNKNOWN
    model: str = UNKNOWN  # its title in tables, as in "3SHNet without VSpM"
    features: str = UNKNOWN  # region, grid or images
    source: str = UNKNOWN  # the dataset it was trained on
    seed: int | None = None
    epoch: int | None = None  # that the weights are of, counted from 0
    config: dict[str, Any] | None = None  # settings of the training, features as they were scored

    @property
    def title(self) -> str:
        """As in "3SHNet region"."""
        return self.model if self.features == UNKNOWN else f"{self.model} {self.features}"

    def is_cross_dataset(self, dataset: str) -> bool:
        """Whether ``dataset`` is another than the one trained on."""
        return self.source not in (dataset, UNKNOWN)


def save_results(
    path: str | Path,
    scores: np.ndarray,
    image_ids: list[str],
    dataset: str,
    split: str,
    origin: Origin,
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
        checkpoint=np.array(origin.checkpoint),
        origin=np.array(json.dumps(asdict(origin))),
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
