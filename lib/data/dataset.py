"""Pairs captions with images, drops regions, collates, loads."""

import os
import signal
from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from lib.batch import ImageBatch, PixelBatch, TextBatch
from lib.config import Config, FeaturesConfig
from lib.data.arrays import CAPTIONS_PER_IMAGE, Entries
from lib.data.augmentation import Window, drop_rate, kept_rows
from lib.data.captions import TokenisedCaptions
from lib.data.features import Split
from lib.data.pixels import Pixels
from lib.errors import InputError

# Image, its rows, their boxes and relations, and its segmentation arrays; where they are used.
Array = np.ndarray | None
ImageItem = tuple[int, np.ndarray, Array, Array, Array, Array, Array]
# Image, its pixels, the cells that stay, and the same arrays.
PixelItem = tuple[
    int, np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None, np.ndarray | None
]
TextItem = tuple[int, np.ndarray]  # caption and its ids


def _segmentation(split: Split, image: int) -> list[np.ndarray | None]:
    arrays = (split.semantic, split.seg_map, split.categories)
    return [None if array is None else array[image] for array in arrays]


def evaluation_item(split: Split, image: int) -> ImageItem | PixelItem:
    """Image ``image``, whole."""
    features = split.features
    if isinstance(features, Pixels):
        return image, features[image], features.all_cells(), *_segmentation(split, image)
    rows = features[image]
    graphs = _graphs(split, image, np.ones(len(rows), bool))
    return image, rows, *graphs, *_segmentation(split, image)


def training_item(
    split: Split, image: int, config: FeaturesConfig, generator: np.random.Generator
) -> ImageItem | PixelItem:
    """Image ``image`` as training sees it once: rows dropped; a picture cut and mirrored too."""
    if isinstance(split.features, Pixels):
        window, cells = split.features.augmentation(generator)
        arrays = _through(window, *_segmentation(split, image))
        return image, split.features.view(image, window), cells, *arrays
    rate = drop_rate(config.drop_scheme, config.drop, generator)
    rows = split.features[image]
    kept = kept_rows(len(rows), rate, generator)
    return image, rows[kept], *_graphs(split, image, kept), *_segmentation(split, image)


def _graphs(split: Split, image: int, kept: np.ndarray) -> list[np.ndarray | None]:
    """Boxes (k, 4) and relations (k, k) of the k rows that are ``kept``, (K,) bool."""
    graphs = []
    for array, axes in ((split.boxes, 1), (split.relations, 2)):
        if array is None:
            graphs.append(None)
            continue
        values = array[image]
        if len(values) < len(kept):
            raise InputError(
                f"{array.file.path}: has {len(values)} regions of image {split.image_ids[image]}, "
                f"whose features have {len(kept)}"
            )
        values = values[: len(kept)][kept]
        graphs.append(values[:, : len(kept)][:, kept] if axes == 2 else values)
    return graphs


def _through(
    window: Window,
    semantic: np.ndarray | None,
    seg_map: np.ndarray | None,
    categories: np.ndarray | None,
) -> list[np.ndarray | None]:
    if semantic is not None:
        semantic = window.shares(semantic)
        categories = categories * semantic.any(axis=(1, 2))  # others are outside the window
    return [semantic, None if seg_map is None else window.label_map(seg_map), categories]


def _stacked(arrays: Sequence[Sequence[np.ndarray | None]]) -> list[torch.Tensor | None]:
    return [None if each[0] is None else torch.from_numpy(np.stack(each)) for each in arrays]


def collate_pixels(items: Sequence[PixelItem]) -> PixelBatch:
    """B pictures of one size."""
    indices, *arrays = zip(*items, strict=True)
    pixels, cells, *rest = _stacked(arrays)
    return PixelBatch(pixels, cells, torch.tensor(indices), *rest)


def collate_images(items: Sequence[ImageItem]) -> ImageBatch:
    """Pad B images of (k_b, C) rows to the largest k_b with zero rows."""
    indices, features, boxes, relations, *rest = zip(*items, strict=True)
    lengths = [len(rows) for rows in features]
    tensors = _padded(features), torch.tensor(lengths), torch.tensor(indices)
    return ImageBatch(*tensors, *_stacked(rest), _padded(boxes), _padded(relations, square=True))


def _padded(arrays: Sequence[np.ndarray | None], square: bool = False) -> torch.Tensor | None:
    """(k_b, C) each, or (k_b, k_b), -> (B, K, C), or (B, K, K), float32 with zeros behind."""
    if arrays[0] is None:
        return None
    width = max(len(rows) for rows in arrays)
    columns = width if square else arrays[0].shape[1]
    padded = np.zeros((len(arrays), width, columns), np.float32)
    for target, rows in zip(padded, arrays, strict=True):
        target[: len(rows), : rows.shape[1]] = rows
    return torch.from_numpy(padded)


def collate_texts(items: Sequence[TextItem]) -> TextBatch:
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

    def __getitem__(self, key: tuple[int, int]) -> tuple[ImageItem | PixelItem, TextItem]:
        """The pair of caption ``key[1]`` as epoch ``key[0]`` sees it."""
        epoch, caption = key
        generator = np.random.default_rng((self.seed, epoch, caption))
        image = caption // CAPTIONS_PER_IMAGE
        item = training_item(self.split, image, self.features, generator)
        return item, (caption, self.captions.augmented(caption, self.word_augment, generator))


class EvaluationImages(Dataset):
    """The images of a split, whole."""

    def __init__(self, split: Split):
        self.split = split

    def __len__(self) -> int:
        return len(self.split.image_ids)

    def __getitem__(self, image: int) -> ImageItem | PixelItem:
        """Image ``image`` with all its rows."""
        return evaluation_item(self.split, image)


def collate_any(items: Sequence[ImageItem | PixelItem]) -> ImageBatch | PixelBatch:
    """B images of either kind, which their pixels tell."""
    is_picture = items[0][1].dtype == np.uint8
    return collate_pixels(items) if is_picture else collate_images(items)


def collate_pairs(
    items: Sequence[tuple[ImageItem | PixelItem, TextItem]],
) -> tuple[ImageBatch | PixelBatch, TextBatch]:
    """B pairs to two batches whose rows correspond."""
    images, texts = zip(*items, strict=True)
    return collate_any(images), collate_texts(texts)


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
    """Loads the given batches of an epoch in order: (ImageBatch or PixelBatch, TextBatch) each."""
    keys = [[(epoch, int(caption)) for caption in batch] for batch in batches]
    return _loader(pairs, workers, pin, batch_sampler=keys, collate_fn=collate_pairs)


def image_loader(split: Split, batches: list[range], workers: int, pin: bool) -> DataLoader:
    """Loads the given images of a split: an ImageBatch, or PixelBatch, each."""
    dataset = EvaluationImages(split)
    return _loader(dataset, workers, pin, batch_sampler=batches, collate_fn=collate_any)


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
