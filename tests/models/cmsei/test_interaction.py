"""Scores of pairs: the paper's, in chunks of any size."""

import pytest
import torch

from tests.models.cmsei.small import SWITCHES, WIDTH, batches, build, of, plain_scores, scores


@pytest.mark.parametrize("direction", ["i2t", "t2i"])
@pytest.mark.parametrize("off", [None, *SWITCHES])
def test_it_is_the_paper_s(direction, off):
    on = {} if off is None else {off: False}
    model = build(direction, **on)
    images, texts = batches()
    found = scores(model, images, texts)
    expected = plain_scores(model, images, texts, direction, **on)
    deviation = (found - expected).abs().max().item()
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(3)).double()
    ours, theirs = of((found * weight).sum(), model), of((expected * weight).sum(), model)
    assert ours.keys() == theirs.keys()
    gradient = max((ours[n] - g).abs().max().item() for n, g in theirs.items())
    print(f"{direction} without {off}: scores {deviation:.0e}, gradients {gradient:.0e}")
    assert deviation < 1e-6  # the score itself is float32
    assert gradient < 1e-5
    with torch.no_grad():  # in place
        assert (scores(model, images, texts) - expected).abs().max() < 1e-6
    if off is not None:
        whole = plain_scores(build(direction), images, texts, direction)
        assert (whole - expected).abs().max() > 1e-3


@pytest.mark.parametrize("direction", ["i2t", "t2i"])
@pytest.mark.parametrize("training", [False, True])
def test_the_chunk_size_changes_no_score(direction, training):
    model, (images, texts) = build(direction).float(), batches()
    images = images.map(lambda t: t.float() if t.is_floating_point() else t)
    results = []
    for memory in (2.0, 40 * WIDTH * 4e-9 * 20, 1e-9):
        model.pair_memory_gb = memory
        with torch.set_grad_enabled(training):
            found = scores(model, images, texts)
            gradients = of(found.square().sum(), model) if training else {}
        results.append((found.detach(), gradients))
    (first, expected), *others = results
    for found, gradients in others:
        torch.testing.assert_close(found, first, rtol=0, atol=1e-6)
        for name, gradient in expected.items():
            torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-6)
