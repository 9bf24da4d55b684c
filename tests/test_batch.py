"""Batches: rows that are real, items that are taken, parts that are joined."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lib.batch import ImageBatch, Tensors, TextBatch, concatenate, map_tensors, pad_rows, row_mask


@dataclass(frozen=True)
class Sets(Tensors):
    rows: Tensor  # (n, K, D)
    lengths: Tensor  # (n,)


def images():
    arrays = {"boxes": torch.arange(24.0).view(2, 3, 4)}
    features = torch.arange(30.0).view(2, 3, 5)
    return ImageBatch(features, torch.tensor([3, 1]), torch.tensor([7, 4]), arrays)


def test_masks_are_true_on_real_rows():
    assert row_mask(torch.tensor([2, 0, 3]), 3).tolist() == [
        [True, True, False], [False, False, False], [True, True, True]
    ]  # fmt: skip
    assert images().mask.tolist() == [[True, True, True], [True, False, False]]
    texts = TextBatch(torch.ones(1, 4, dtype=torch.long), torch.tensor([2]), torch.tensor([0]))
    assert texts.mask.tolist() == [[True, True, False, False]]


def test_items_take_their_arrays_along():
    batch = images()
    assert len(batch) == 2
    one = batch[1:]
    assert one.indices.tolist() == [4]
    assert torch.equal(one.arrays["boxes"], batch.arrays["boxes"][1:])
    swapped = batch[torch.tensor([1, 0])]
    assert torch.equal(swapped.features, batch.features.flip(0))


def test_every_tensor_is_moved_and_pinned(monkeypatch):
    pinned = []
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    assert type(images().pin_memory()) is ImageBatch
    assert len(pinned) == 4
    there = images().to(torch.device("meta"))
    assert {t.device.type for t in (there.features, there.arrays["boxes"])} == {"meta"}


def test_vectors_and_sets_are_joined():
    vectors = [torch.ones(2, 4), torch.zeros(1, 4)]
    assert torch.equal(concatenate(vectors), torch.cat(vectors))
    sets = [Sets(torch.ones(n, width, 2), torch.full((n,), width)) for n, width in ((2, 1), (1, 3))]
    joined = concatenate(sets)
    assert joined.lengths.tolist() == [1, 1, 3]
    assert joined.rows.sum(dim=(1, 2)).tolist() == [2, 2, 6]  # padded with zeros
    doubled = map_tensors(joined, lambda tensor: 2 * tensor)
    assert torch.equal(doubled.rows, 2 * joined.rows)
    assert torch.equal(map_tensors(vectors[0], torch.neg), -vectors[0])


def test_rows_are_padded_behind():
    padded = pad_rows(torch.ones(1, 2, 3), 4)
    assert padded.shape == (1, 4, 3)
    assert padded.sum(dim=2).tolist() == [[3, 3, 0, 0]]
    assert pad_rows(torch.ones(1, 2, dtype=torch.bool), 3).tolist() == [[True, True, False]]
