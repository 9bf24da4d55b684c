"""What a split becomes on its way to the model: dropped rows, batches, epochs, workers."""

import numpy as np
import pytest
import torch

from lib.data.augmentation import drop_rate, kept_rows
from lib.data.captions import tokenise
from lib.data.dataset import (
    ImageItem,
    TrainingPairs,
    collate_images,
    epoch_batches,
    text_batches,
    training_loader,
)
from lib.data.split import open_split
from lib.errors import InputError
from tests.support import tokenizer_of

C = 8


def test_dropping_rows_packs_the_rest_and_never_takes_all():
    rows = np.arange(36, dtype=np.float32)[:, None]
    generator = np.random.default_rng(0)
    kept = [rows[kept_rows(len(rows), 0.2, generator)][:, 0] for _ in range(2000)]
    assert np.mean([len(k) for k in kept]) == pytest.approx(0.8 * 36, rel=0.01)
    assert all((np.diff(k) > 0).all() for k in kept)
    survivors = [rows[:3][kept_rows(3, 1.0, generator)][:, 0].tolist() for _ in range(200)]
    assert {tuple(s) for s in survivors} == {(0.0,), (1.0,), (2.0,)}


def test_vse_infinitys_scheme_spares_a_fifth_of_the_pictures():
    generator = np.random.default_rng(0)
    rates = np.array([drop_rate("vse_infinity", 0.2, generator) for _ in range(20_000)])
    assert np.mean(rates == 0) == pytest.approx(0.2, abs=0.01)
    dropping = rates[rates > 0]
    assert dropping.min() == pytest.approx(0.04, abs=1e-3)
    assert dropping.max() == pytest.approx(0.2, abs=1e-3)
    assert np.quantile(dropping, (0.25, 0.5, 0.75)) == pytest.approx((0.08, 0.12, 0.16), abs=3e-3)


def test_dropping_each_row_alike_draws_nothing_more():
    generator = np.random.default_rng(0)
    assert drop_rate("each", 0.2, generator) == 0.2
    assert generator.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize("scheme", ["each", "vse_infinity"])
def test_pairs_lose_rows_by_the_scheme(config, scheme):
    settings = config(f"features.drop_scheme={scheme}", "features.drop=1.0")
    split = open_split(settings, "train")
    tokenizer = tokenizer_of(settings)
    captions = tokenise(split.captions, tokenizer)
    pairs = TrainingPairs(split, captions, settings)
    left = {len(pairs[0, caption][0].rows) for caption in range(len(captions))}
    assert left == {1} if scheme == "each" else {1, 6} < left


def test_collated_rows_are_padded_with_zeros():
    items = [ImageItem(4, np.ones((2, C), np.float32), {"boxes": np.ones((2, 4), np.float32)})]
    items.append(ImageItem(9, np.full((3, C), 2, np.float32), {"boxes": np.ones((3, 4))}))
    batch = collate_images(items, {"boxes": 1})
    assert batch.lengths.tolist() == [2, 3]
    assert batch.indices.tolist() == [4, 9]
    assert batch.features[0, 2].abs().sum() == 0
    assert batch.mask.tolist() == [[True, True, False], [True, True, True]]
    assert batch.arrays["boxes"].shape == (2, 3, 4)
    assert batch.arrays["boxes"][0, 2].abs().sum() == 0


def test_epochs_shuffle_everything_once():
    batches = epoch_batches(103, 10, seed=1, epoch=0)
    assert batches.shape == (10, 10)
    assert len(set(batches.ravel().tolist())) == 100
    assert (batches != epoch_batches(103, 10, seed=1, epoch=1)).any()
    assert (batches == epoch_batches(103, 10, seed=1, epoch=0)).all()
    with pytest.raises(InputError, match="choose a smaller batch"):
        epoch_batches(9, 10, seed=1, epoch=0)


def test_worker_count_does_not_change_what_is_trained_on(config):
    settings = config()
    split = open_split(settings, "train")
    tokenizer = tokenizer_of(settings)
    captions = tokenise(split.captions, tokenizer)
    pairs = TrainingPairs(split, captions, settings)
    batches = epoch_batches(len(captions), 16, seed=0, epoch=3)

    def load(workers):
        return [
            (images.features, images.lengths, images.arrays["seg_map"], texts.ids)
            for images, texts in training_loader(pairs, 3, batches, workers, pin=False)
        ]

    alone, shared = load(0), load(3)
    assert len(alone) == len(batches)
    for one, other in zip(alone, shared, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert len({tuple(lengths.tolist()) for _, lengths, _, _ in alone}) > 1


def test_captions_are_batched_by_length(config):
    settings = config()
    tokenizer = tokenizer_of(settings)
    captions = tokenise(["cat " * n for n in (3, 9, 1, 5, 7)], tokenizer)
    batches = text_batches(captions, 5, 2)
    assert [b.indices.tolist() for b in batches] == [[1, 4], [3, 0], [2]]
    assert all(b.lengths[0] == b.ids.shape[1] for b in batches)
