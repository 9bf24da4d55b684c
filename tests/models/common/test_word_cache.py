"""What a frozen text network made of captions is what comes back, whatever the batch."""

import numpy as np
import torch

from lib.batch import TextBatch
from lib.models.common.word_cache import WordCache

LENGTHS = np.array([3, 1, 4, 2])


def batch(indices, width):
    lengths = torch.from_numpy(LENGTHS)[indices]
    return TextBatch(torch.zeros(len(indices), width, dtype=torch.long), lengths, indices)


def test_states_come_back_in_other_batches():
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(4, 4, 5, generator=generator)
    cache = WordCache(LENGTHS, 5, torch.float32)
    for indices in (torch.tensor([2, 0]), torch.tensor([3, 1])):
        some = batch(indices, int(LENGTHS[indices].max()))
        cache.keep(some, states[indices, : some.ids.shape[1]])
    order = torch.tensor([1, 3, 2, 0])
    found = cache.of(batch(order, 4))
    real = torch.arange(4) < torch.from_numpy(LENGTHS)[order, None]
    assert torch.equal(found, states[order] * real[..., None])
    assert WordCache.gigabytes(LENGTHS, 5, torch.float32) == 10 * 5 * 4 / 1e9
    assert cache.states.numel() == 50


def test_they_are_kept_in_the_dtype_asked_for():
    cache = WordCache(LENGTHS, 2, torch.bfloat16)
    some = batch(torch.arange(4), 4)
    cache.keep(some, torch.full((4, 4, 2), 1.001))
    assert cache.of(some).dtype == torch.bfloat16
    assert cache.of(some)[0, 0].tolist() == [1.0, 1.0]
