"""Pairs captions with images, drops regions, collates, loads."""

import os
import signal
from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from lib.batch import ImageBatch, TextBatch
from lib.config import Config
from lib.data.arrays import CAPTIONS_PER_IMAGE, Entries
from lib.data.captions import TokenisedCaptions
from lib.data.features import Split
from lib.errors import InputError

ImageItem = tuple[int, np.ndarray, np.ndarray | None, np.ndarray | None, np.ndarray | None]


def drop_rate(scheme: str, rate: float, generator: np.random.Generator) -> float:
    """The rate at which one picture loses rows in training.

    Args:
        scheme: ``each``: ``rate``, always. ``vse_infinity``: with probability 0.8 it is
            ``rate * u``, u uniform in [0.2, 1], else 0; VSE-infinity's size augmentation of grids.
        rate: ``features.drop``.
        generator: not drawn from by ``each``.
    """
    if scheme == "each":
        return rate
    u = generator.random()  # in [0.2, 1] with probability 0.8, and uniform there
    return rate * u if u >= 0.2 else 0.0


def drop_rows(rows: np.ndarray, rate: float, generator: np.random.Generator) -> np.ndarray:
    """Drop each of (K, C) rows independently at ``rate``, never all; the rest moves up."""
    keep = generator.random(len(rows)) >= rate
    if not keep.any():
        keep[generator.integers(len(rows))] = True
    return rows[keep]


def _image_item(split: Split, image: int, features: np.ndarray) -> ImageItem:
    arrays = (split.semantic, split.seg_map, split.categories)
    return image, features, *(None if a is None else a[image] for a in arrays)


def collate_images(items: Sequence[ImageItem]) -> ImageBatch:
    """Pad B images of (k_b, C) rows to the largest k_b with zero rows."""
    indices, features, *rest = zip(*items, strict=True)
    lengths = [len(rows) for rows in features]
    padded = np.zeros((len(items), max(lengths), features[0].shape[1]), np.float32)
    for target, rows in zip(padded, features, strict=True):
        target[: len(rows)] = rows
    stacked = (None if v[0] is None else torch.from_numpy(np.stack(v)) for v in rest)
    return ImageBatch(
        torch.from_numpy(padded), torch.tensor(lengths), torch.tensor(indices), *stacked
    )


def collate_texts(items: Sequence[tuple[int, np.ndarray]]) -> TextBatch:
    """Pad B captions of N_b ids to the longest with id 0."""
    indices, ids = zip(*items, strict=True)
    lengths = [len(i) for i in ids]
    padded = np.zeros((len(items), max(lengths)), np.int64)
    for target, row in zip(padded, ids, strict=True):
        target[: len(row)] = row
    return TextBatch(torch.from_numpy(padded), torch.tensor(lengths), torch.tensor(indices))


class TrainingPairs(Dataset):
    """(image, caption) pairs with both augmentations, each a function of seed, epoch and caption.

    Which worker loads a pair, and when, therefore changes nothing.
    """

    def __init__(self, split: Split, captions: TokenisedCaptions, config: Config):
        self.split, self.captions = split, captions
        self.features, self.word_augment = config.features, config.data.word_augment
        self.seed = config.run.seed

    def __len__(self) -> int:
        return len(self.captions)

    def __getitem__(self, key: tuple[int, int]) -> tuple[ImageItem, tuple[int, np.ndarray]]:
        """The pair of caption ``key[1]`` as epoch ``key[0]`` sees it."""
        epoch, caption = key
        generator = np.random.default_rng((self.seed, epoch, caption))
        image = caption // CAPTIONS_PER_IMAGE
        rate = drop_rate(self.features.drop_scheme, self.features.drop, generator)
        rows = drop_rows(self.split.features[image], rate, generator)
        ids = self.captions.augmented(caption, self.word_augment, generator)
        return _image_item(self.split, image, rows), (caption, ids)


class EvaluationImages(Dataset):
    """The first ``images`` images of a split, whole."""

    def __init__(self, split: Split, images: int):
        self.split, self.images = split, images

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, image: int) -> ImageItem:
        """Image ``image`` with all its rows."""
        return _image_item(self.split, image, self.split.features[image])


def collate_pairs(
    items: Sequence[tuple[ImageItem, tuple[int, np.ndarray]]],
) -> tuple[ImageBatch, TextBatch]:
    """B pairs to two batches whose rows correspond."""
    images, texts = zip(*items, strict=True)
    return collate_images(images), collate_texts(texts)


def epoch_batches(captions: int, batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """The shuffled captions of an epoch, (batches, batch_size) int64, the partial batch dropped.

    Raises:
        InputError: not even one batch fits.
    """
    if batch_size > captions:
        raise InputError(
            f"train.batch_size is {batch_size}, but the training split has {captions} captions; "
            "choose a smaller batch"
        )
    order = np.random.default_rng((seed, epoch)).permutation(captions)
    return order[: captions // batch_size * batch_size].reshape(-1, batch_size)


def _leave_signals_to_the_parent(_: int) -> None:
    # Both signals may reach the whole process group, and the parent wants to save. A worker that
    # SIGTERM killed would raise an error there at any point; one that leaves by itself does not.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


def _loader(dataset: Dataset, workers: int, pin: bool, **batching: object) -> DataLoader:
    return DataLoader(
        dataset,
        num_workers=workers,
        pin_memory=pin,
        worker_init_fn=_leave_signals_to_the_parent,
        # Its own generator: a loader draws a seed, and dropout's random state must not notice.
        generator=torch.Generator(),
        **batching,
    )


def training_loader(
    pairs: TrainingPairs, epoch: int, batches: np.ndarray, workers: int, pin: bool
) -> DataLoader:
    """Loads the given batches of an epoch in order: (ImageBatch, TextBatch) each."""
    keys = [[(epoch, int(caption)) for caption in batch] for batch in batches]
    return _loader(pairs, workers, pin, batch_sampler=keys, collate_fn=collate_pairs)


def image_loader(split: Split, images: int, batch_size: int, workers: int, pin: bool) -> DataLoader:
    """Loads the first ``images`` images of a split in order: an ImageBatch each."""
    dataset = EvaluationImages(split, images)
    return _loader(dataset, workers, pin, batch_size=batch_size, collate_fn=collate_images)


def row_loader(entries: Entries, first: int, workers: int) -> DataLoader:
    """Reads the entries from number ``first`` on in order, one (K, C) float32 array each."""
    rest = range(first, len(entries))
    return _loader(entries, workers, False, batch_size=None, sampler=rest, collate_fn=_as_it_is)


def _as_it_is(rows: np.ndarray) -> np.ndarray:
    return rows


def text_batches(captions: TokenisedCaptions, count: int, batch_size: int) -> list[TextBatch]:
    """The first ``count`` captions in batches of similar length, longest first; ``indices`` tell
    where each belongs."""
    order = np.argsort(-captions.lengths()[:count], kind="stable")
    chunks = (order[i : i + batch_size] for i in range(0, count, batch_size))
    return [collate_texts([(int(i), captions.ids(i)) for i in chunk]) for chunk in chunks]
