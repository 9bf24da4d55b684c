"""What a split becomes on its way to the model: dropped rows, batches, epochs, workers."""

import os
import signal
import subprocess

import numpy as np
import pytest
import torch

from lib.data import dataset
from lib.data.captions import tokenise
from lib.data.dataset import (
    ImageItem,
    TrainingPairs,
    collate_images,
    entry_loader,
    epoch_batches,
    text_batches,
    training_loader,
)
from lib.data.split import open_split
from lib.errors import InputError
from tests.support import tokenizer_of

C = 8


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
    assert [len(batch) for batch in batches] == [10] * 10
    assert len({int(caption) for batch in batches for caption in batch}) == 100
    other, again = (np.stack(epoch_batches(103, 10, seed=1, epoch=e)) for e in (1, 0))
    assert (np.stack(batches) != other).any()
    assert (np.stack(batches) == again).all()
    with pytest.raises(InputError, match="choose a smaller batch"):
        epoch_batches(9, 10, seed=1, epoch=0)


@pytest.mark.parametrize(
    ("captions", "ranks", "last"), [(103, 1, 3), (101, 1, None), (107, 2, 6), (103, 2, None)]
)
def test_the_last_batch_may_stay_where_ranks_can_share_it(captions, ranks, last):
    full = epoch_batches(captions, 10, 1, 0, ranks=ranks)
    found = epoch_batches(captions, 10, 1, 0, drop_last=False, ranks=ranks)
    assert [len(batch) for batch in found] == [10] * 10 + [last] * (last is not None)
    assert all((a == b).all() for a, b in zip(full, found, strict=False))
    assert len({int(caption) for batch in found for caption in batch}) == 100 + (last or 0)


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


def test_neighbours_are_batched_together_where_a_model_wants_it(config):
    captions = tokenise(["cat " * n for n in (3, 9, 1, 5, 7)], tokenizer_of(config()))
    batches = text_batches(captions, 5, 2, consecutive=True)
    assert [b.indices.tolist() for b in batches] == [[1, 0], [3, 2], [4]]


def test_workers_leave_signals_to_their_parent(config):
    """A signal to the process group does not reach them: they have groups of their own."""
    settings = config()
    split = open_split(settings, "train")
    captions = tokenise(split.captions, tokenizer_of(settings))
    pairs = TrainingPairs(split, captions, settings)
    batches = epoch_batches(len(captions), 8, seed=0, epoch=0)
    groups = []
    for _ in training_loader(pairs, 0, batches, 2, pin=False):
        groups = groups or [os.getpgid(int(child)) for child in children()]
    assert len(groups) >= 2
    assert os.getpgid(0) not in groups


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_a_worker_that_is_just_starting_is_forgotten(signum):
    """One that killed it would raise an error in the parent at any point."""
    parent, sent = os.getpid(), [signum]

    def signalled():  # a hook cannot be taken back
        if sent and os.getppid() == parent:
            os.kill(os.getpid(), signum)

    os.register_at_fork(after_in_child=signalled)
    try:
        found = [int(entry) for entry in entry_loader(torch.arange(8), range(8), 2)]
    finally:
        sent.clear()
    assert found == list(range(8))
    assert signum not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def children():
    """Process numbers of this process's children."""
    words = ["pgrep", "-P", str(os.getpid())]
    return subprocess.run(words, capture_output=True, text=True).stdout.split()


def test_a_worker_s_signals_are_its_parent_s_to_send(monkeypatch):
    set_to, group = {}, []
    monkeypatch.setattr(signal, "signal", set_to.__setitem__)
    monkeypatch.setattr(os, "setpgid", lambda *numbers: group.append(numbers))
    dataset._leave_signals_to_the_parent(0)
    assert group == [(0, 0)]
    assert set_to[signal.SIGINT] is signal.SIG_IGN
    left = []
    monkeypatch.setattr(os, "_exit", left.append)
    set_to[signal.SIGTERM](signal.SIGTERM, None)
    assert left == [0]
