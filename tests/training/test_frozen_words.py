"""A frozen text network: what learns, what is cached, and that the cache changes nothing."""

import numpy as np
import torch

from lib.checkpoint import load_checkpoint
from lib.data.dataset import collate_texts
from lib.models.common.bert import TokenEncoder
from lib.training.loop import Run
from tests.support import fit, same

FROZEN = ("model.bert_lr_scale=0", "data.word_augment=0")


def counted(monkeypatch):
    """How many captions the text network reads."""
    read, states = [], TokenEncoder._states

    def count(encoder, ids, mask):
        read.append(len(ids))
        return states(encoder, ids, mask)

    monkeypatch.setattr(TokenEncoder, "_states", count)
    return read


def test_frozen_it_does_not_learn_and_the_rest_does(config):
    settings = config(*FROZEN)
    before = Run(settings, False, False).model.state_dict()
    after = fit(settings).model.state_dict()
    for name, tensor in before.items():
        if ".bert." in name:
            assert torch.equal(after[name], tensor), name
    assert not torch.equal(
        before["text_encoder.projection.weight"], after["text_encoder.projection.weight"]
    )


def test_frozen_has_no_dropout(config):
    run = Run(config(*FROZEN), False, False)
    encoder = run.model.train().text_encoder
    batch = collate_texts([(i, run.train_captions.ids(i)) for i in (7, 0)], 0)
    assert torch.equal(encoder.tokens(batch), encoder.tokens(batch))
    assert encoder.training
    assert not encoder.bert.training
    assert not any(p.requires_grad for p in encoder.bert.parameters())


def test_training_reads_each_caption_once(config, monkeypatch):
    read = counted(monkeypatch)
    run = fit(config(*FROZEN))
    train, dev = len(run.train_captions), len(run.dev_captions)
    assert sum(read) == train + 2 * dev  # dev in both epochs
    assert f"of {train} training captions are kept in 0.00 GB" in run.run_dir.log.read_text()


def test_words_that_are_augmented_are_read_in_every_epoch(config, monkeypatch):
    read = counted(monkeypatch)
    run = fit(config("model.bert_lr_scale=0", "data.word_augment=0.2", "train.epochs=1"))
    assert sum(read) == len(run._batches(0)) * 16 + len(run.dev_captions)
    assert run.model.text_encoder.cache is None


def test_the_cache_gives_what_the_network_would(config, tmp_path):
    run = fit(config(*FROZEN, "train.epochs=1"))
    encoder = run.model.text_encoder.train()
    batch = collate_texts([(i, run.train_captions.ids(i)) for i in (7, 0, 31)], 0)
    kept = encoder.tokens(batch)
    encoder.cache = None
    anew = encoder.tokens(batch)
    torch.testing.assert_close(kept[batch.mask], anew[batch.mask], rtol=1e-5, atol=1e-6)
    assert kept.requires_grad  # the projection learns
    without = fit(config(*FROZEN, "train.word_cache_gb=0", f"run.out={tmp_path / 'b'}"))
    assert without.model.text_encoder.cache is None
    assert "more than train.word_cache_gb = 0" in without.run_dir.log.read_text()


def test_resumed_it_is_as_if_it_was_never_stopped(config, tmp_path):
    whole = fit(config(*FROZEN, f"run.out={tmp_path / 'whole'}"))
    fit(config(*FROZEN, "train.epochs=1"))
    resumed = fit(config(*FROZEN), resume=True)
    same(*(load_checkpoint(run.run_dir.last) for run in (whole, resumed)))


def test_under_bf16_the_cache_holds_what_products_see(config):
    run = fit(config(*FROZEN, "train.precision=bf16", "train.epochs=1"))
    states = run.model.text_encoder.cache.states
    assert states.dtype == torch.bfloat16
    assert len(states) == int(np.sum(run.train_captions.lengths()))
