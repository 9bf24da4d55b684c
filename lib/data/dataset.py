"""Pairs captions with images, drops regions, collates, loads."""

import os
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from lib.batch import Arrays, ImageBatch, PixelBatch, TextBatch
from lib.config import Config, FeaturesConfig
from lib.data.augmentation import drop_rate, kept_rows
from lib.data.captions import CAPTIONS_PER_IMAGE, TokenisedCaptions
from lib.data.images import Pixels
from lib.data.noise import image_of_each
from lib.data.split import Split
from lib.errors import InputError

Images = ImageBatch | PixelBatch
TextItem = tuple[int, np.ndarray]  # caption and its ids
FOR_THE_PARENT = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class ImageItem:
    """One image as the encoder sees it."""

    index: int  # in its split
    rows: np.ndarray  # (k, C) float32 regions or cells, or (3, S, S) float32 pixels
    arrays: dict[str, np.ndarray]  # the family's inputs
    cells: np.ndarray | None = None  # of pixels: (side, side) bool, the cells that are kept


def evaluation_item(split: Split, image: int) -> ImageItem:
    """Image ``image``, whole."""
    features = split.features
    rows = features[image]
    if isinstance(features, Pixels):
        return ImageItem(image, rows, _arrays(split, image), np.ones((features.side,) * 2, bool))
    return ImageItem(image, rows, _arrays(split, image, np.ones(len(rows), bool)))


def training_item(
    split: Split, image: int, config: FeaturesConfig, generator: np.random.Generator
) -> ImageItem:
    """Image ``image`` as training sees it once: rows dropped; a picture cropped and mirrored."""
    if isinstance(split.features, Pixels):
        window, cells = split.features.augmentation(generator)
        arrays = split.family.seen_through(window, _arrays(split, image))
        return ImageItem(image, split.features.view(image, window), arrays, cells)
    rate = drop_rate(config.drop_scheme, config.drop, generator)
    rows = split.features[image]
    kept = kept_rows(len(rows), rate, generator)
    return ImageItem(image, rows[kept], _arrays(split, image, kept))


def _arrays(split: Split, image: int, kept: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The family's inputs, those of regions cut to the ``kept`` ones, (K,) bool."""
    found = {name: array[image] for name, array in split.arrays.items()}
    if kept is None:
        return found
    count = len(kept)
    for name, values in found.items():
        axes = split.region_axes[name]
        if axes and len(values) < count:
            raise InputError(
                f"{split.arrays[name].path}: has {len(values)} regions of image "
                f"{split.image_ids[image]}, whose features have {count}"
            )
        values = values[:count][kept] if axes else values
        found[name] = values[:, :count][:, kept] if axes == 2 else values
    return found


def collate_images(items: Sequence[ImageItem], region_axes: dict[str, int]) -> Images:
    """B images, all of pixels or none, to a batch; regions are padded to the largest number with
    zero rows. ``region_axes`` says how many first axes of each array are regions."""
    indices = torch.tensor([item.index for item in items])
    arrays: Arrays = {
        name: _padded([item.arrays[name] for item in items], region_axes[name])
        for name in items[0].arrays
    }
    rows, cells = [item.rows for item in items], [item.cells for item in items]
    if items[0].cells is not None:
        return PixelBatch(_padded(rows, 0), _padded(cells, 0), indices, arrays)  # type: ignore[arg-type]
    lengths = torch.tensor([len(row) for row in rows])
    return ImageBatch(_padded(rows, 1), lengths, indices, arrays)


def _padded(arrays: Sequence[np.ndarray], axes: int) -> torch.Tensor:
    """(...) each -> (B, ...); zeros behind the shorter ones along the first ``axes``."""
    if axes == 0:
        return torch.from_numpy(np.stack(arrays))
    width = max(map(len, arrays))
    padded = np.zeros((len(arrays), *([width] * axes), *arrays[0].shape[axes:]), np.float32)
    for target, values in zip(padded, arrays, strict=True):
        target[tuple(slice(size) for size in values.shape)] = values
    return torch.from_numpy(padded)


def collate_texts(items: Sequence[TextItem], padding_id: int) -> TextBatch:
    """Pad B captions of N_b ids to the longest."""
    lengths = [len(ids) for _, ids in items]
    padded = np.full((len(items), max(lengths)), padding_id, np.int64)
    for target, (_, ids) in zip(padded, items, strict=True):
        target[: len(ids)] = ids
    indices = torch.tensor([index for index, _ in items])
    return TextBatch(torch.from_numpy(padded), torch.tensor(lengths), indices)


class TrainingPairs(Dataset):
    """(image, caption) pairs with both augmentations, each a function of seed, epoch and caption.
    Which worker loads a pair, and when, therefore changes nothing."""

    def __init__(self, split: Split, captions: TokenisedCaptions, config: Config):
        self.split, self.captions = split, captions
        self.features, self.word_augment = config.features, config.data.word_augment
        self.seed = config.run.seed
        self.image_of = image_of_each(len(captions), config.data.noise_ratio, self.seed)

    def __getitem__(self, key: tuple[int, int]) -> tuple[ImageItem, TextItem]:
        """The pair of caption ``key[1]`` as epoch ``key[0]`` sees it."""
        epoch, caption = key
        generator = np.random.default_rng((self.seed, epoch, caption))
        image = int(self.image_of[caption])
        item = training_item(self.split, image, self.features, generator)
        return item, (caption, self.captions.augmented(caption, self.word_augment, generator))

    @property
    def noise(self) -> str:
        """What the log says of captions that are paired with other images."""
        others = self.image_of != np.arange(len(self.image_of)) // CAPTIONS_PER_IMAGE
        return f"{int(others.sum()):,} of {len(others):,} training captions have other images"

    def collate(self, items: Sequence[tuple[ImageItem, TextItem]]) -> tuple[Images, TextBatch]:
        """B pairs to two batches whose rows correspond."""
        images, texts = zip(*items, strict=True)
        padding_id = self.captions.tokenizer.padding_id
        return collate_images(images, self.split.region_axes), collate_texts(texts, padding_id)


class EvaluationImages(Dataset):
    """The images of a split, whole."""

    def __init__(self, split: Split):
        self.split = split

    def __getitem__(self, image: int) -> ImageItem:
        return evaluation_item(self.split, image)


def epoch_batches(
    captions: int, batch_size: int, seed: int, epoch: int, drop_last: bool = True, ranks: int = 1
) -> list[np.ndarray]:
    """The shuffled captions of an epoch, (batch_size,) int64 each. Unless ``drop_last``, a partial
    batch ends it, cut to what ``ranks`` can share equally, if that leaves two pairs for each.
    Raises InputError: not even one batch fits."""
    if batch_size > captions:
        raise InputError(
            f"train.batch_size is {batch_size}, but the training split has {captions} captions; "
            "choose a smaller batch"
        )
    order = np.random.default_rng((seed, epoch)).permutation(captions)
    full = captions // batch_size * batch_size
    batches = list(order[:full].reshape(-1, batch_size))
    rest = (captions - full) // ranks * ranks
    # A pair alone has no negative, and BatchNorm no variance over it.
    return batches if drop_last or rest < 2 * ranks else [*batches, order[full : full + rest]]


class _Loader(DataLoader):
    """Starts its workers with signals held back until they know what to do with them."""

    def __iter__(self) -> Any:
        if not hasattr(signal, "pthread_sigmask"):
            return super().__iter__()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_THE_PARENT)
        try:
            return super().__iter__()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_signals_to_the_parent(_: int) -> None:
    # A signal to the process group is for the parent, which goes on loading until it has saved.
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    for signum in FOR_THE_PARENT:
        signal.signal(signum, signal.SIG_IGN)  # forgets those that were held back
    # A worker that SIGTERM killed would raise an error in the parent at any point; one that leaves
    # by itself does not.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FOR_THE_PARENT)


def _loader(dataset: Any, workers: int, pin: bool, **batching: Any) -> DataLoader:
    return _Loader(
        dataset,
        num_workers=workers,
        pin_memory=pin,
        worker_init_fn=_leave_signals_to_the_parent,
        # Its own generator: a loader draws a seed, and dropout's random state must not notice.
        generator=torch.Generator(),
        **batching,
    )


def training_loader(
    pairs: TrainingPairs, epoch: int, batches: Sequence[np.ndarray], workers: int, pin: bool
) -> DataLoader:
    """Loads the given batches of an epoch in order: (ImageBatch or PixelBatch, TextBatch) each."""
    keys = [[(epoch, int(caption)) for caption in batch] for batch in batches]
    return _loader(pairs, workers, pin, batch_sampler=keys, collate_fn=pairs.collate)


def image_loader(split: Split, batches: list[range], workers: int, pin: bool) -> DataLoader:
    """Loads the given images of a split: an ImageBatch, or PixelBatch, each."""
    collate = partial(collate_images, region_axes=split.region_axes)
    return _loader(EvaluationImages(split), workers, pin, batch_sampler=batches, collate_fn=collate)


def entry_loader(dataset: Any, numbers: Iterable[int], workers: int) -> DataLoader:
    """Reads the given entries of a dataset in order, each as it is."""
    batching: dict[str, Any] = {"sampler": list(numbers), "collate_fn": _unchanged}
    return _loader(dataset, workers, False, batch_size=None, **batching)


def _unchanged(entry: Any) -> Any:
    return entry


def text_batches(
    captions: TokenisedCaptions, count: int, batch_size: int, consecutive: bool = False
) -> list[TextBatch]:
    """The first ``count`` captions, batched by length, longest first; ``indices`` are their own.
    ``consecutive`` batches neighbours instead, and sorts inside each batch alone."""
    lengths = captions.lengths()[:count]
    order = np.arange(count) if consecutive else np.argsort(-lengths, kind="stable")
    chunks = [order[i : i + batch_size] for i in range(0, count, batch_size)]
    if consecutive:
        chunks = [chunk[np.argsort(-lengths[chunk], kind="stable")] for chunk in chunks]
    padding_id = captions.tokenizer.padding_id
    return [collate_texts([(int(i), captions.ids(i)) for i in c], padding_id) for c in chunks]
