"""Scores of pairs beside the plain version, in training too, and in chunks of any size."""

import numpy as np
import pytest
import torch

from lib.evaluation import encode
from lib.evaluation.encode import Embeddings
from lib.models.lhsc.similarity import FilterNorm, Moments
from tests.models.lhsc.small import ABLATIONS, batches, build, plain_scores, scores


@pytest.mark.parametrize("on", ABLATIONS, ids=lambda on: " ".join(on) or "whole")
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_it_is_the_plain_version_s(on, training):
    model, (images, texts) = build(**on).train(training), batches()
    running = {}
    expected, state = plain_scores(model, images, texts, running, **on)
    found = scores(model, images, texts)
    deviation = (found - expected).abs().max().item()
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(3))
    wanted = dict(zip(state, torch.autograd.grad((expected * weight).sum(), state.values(),
                                                 allow_unused=True), strict=True))  # fmt: skip
    (found * weight).sum().backward()
    largest = max(g.abs().max().item() for g in wanted.values() if g is not None)
    gradient = max(
        (p.grad - wanted[name]).abs().max().item() / largest for name, p in model.named_parameters()
    )
    print(f"{on} {training=}: scores {deviation:.0e}, gradients {gradient:.0e}")
    assert found.dtype == torch.float32
    assert deviation < 1e-6
    assert gradient < 5e-5
    assert bool(running) == training
    buffers = dict(model.named_buffers())
    for name, value in running.items():
        torch.testing.assert_close(buffers[name].double(), value, rtol=1e-5, atol=1e-6)
    if not training:
        with torch.no_grad():  # in place
            assert (scores(model, images, texts) - expected).abs().max() < 1e-6
    if on:
        whole = scores(build().train(training), images, texts)
        assert (whole - expected).abs().max() > 1e-5


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("gradients", [False, True], ids=["", "gradients"])
def test_the_chunk_size_changes_no_score(training, gradients):
    results = []
    for memory in (2.0, 1e-5, 1e-9):
        model, (images, texts) = build().train(training), batches()
        model.pair_memory_gb = memory
        with torch.set_grad_enabled(gradients):
            found = scores(model, images, texts)
        if gradients:
            found.square().sum().backward()
        parts = {name: p.grad for name, p in model.named_parameters() if gradients}
        results.append((found.detach(), parts, dict(model.named_buffers())))
    (first, expected, buffers), *others = results
    for found, parts, kept in others:
        torch.testing.assert_close(found, first, rtol=0, atol=1e-6)
        for name, gradient in expected.items():
            torch.testing.assert_close(parts[name], gradient, rtol=1e-4, atol=1e-6)
        for name, value in buffers.items():
            torch.testing.assert_close(kept[name], value, rtol=1e-5, atol=1e-7)


def test_evaluation_scores_in_chunks_too(monkeypatch):
    model, (images, texts) = build(), batches()
    with torch.no_grad():
        encoded = Embeddings(model.encode_images(images), model.encode_texts(texts))
        expected = scores(model, images, texts).numpy()
    for rows, columns in ((32, 1000), (2, 3)):
        monkeypatch.setattr(encode, "PAIR_ROWS", rows)
        monkeypatch.setattr(encode, "PAIR_COLUMNS", columns)
        np.testing.assert_allclose(encoded.scores(model), expected, rtol=0, atol=1e-6)


def test_running_statistics_are_those_of_one_caption_after_the_other():
    """torch's BatchNorm1d, called once per caption."""
    generator = torch.Generator().manual_seed(0)
    captions = [torch.randn(3, n, generator=generator) * n for n in (7, 5, 2)]
    ours, theirs = FilterNorm(), torch.nn.BatchNorm1d(1)
    for values in captions:
        theirs(values.reshape(-1, 1))
    found = [
        ours.moments(v[:, None], torch.ones(1, v.shape[1], dtype=torch.bool)) for v in captions
    ]
    ours.update(Moments(*(torch.cat([getattr(m, n) for m in found])
                          for n in ("mean", "variance", "count"))))  # fmt: skip
    for name, value in theirs.named_buffers():
        torch.testing.assert_close(getattr(ours, name), value)


def test_an_image_without_a_thing_has_finite_gradients():
    model, (images, texts) = build().train(), batches()
    images.features[0] = 0
    model.image_encoder.projection.bias.data.zero_()
    scores(model, images, texts).sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_the_attention_that_is_shown_is_what_attends():
    model, (images, texts) = build(), batches()
    texts = texts[:3]
    with torch.no_grad():
        found = model.explain(images, texts).attention["words to regions"]
        v, t = model.encode_images(images).rows, model.encode_texts(texts).rows
    for i, count in enumerate(texts.lengths.tolist()):
        c = v[i] @ t[i, :count].T  # (K, N)
        c = torch.where(c > 0, c, 0.1 * c)
        c = c / c.norm(dim=1, keepdim=True)
        torch.testing.assert_close(found[i, :count], (9 * c).softmax(dim=0).T)
