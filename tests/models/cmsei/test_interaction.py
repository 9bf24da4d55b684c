"""Scores of pairs: the paper's, in chunks of any size."""

import pytest
import torch

from lib.models.cmsei.config import Config
from tests.models.cmsei import plain
from tests.models.cmsei.small import SWITCHES, WIDTH, batches, build, of, plain_scores, scores

OPTIONS = [
    {"graph_norm": "batch"},
    {"semantic_nodes": "projected"},
    {"symmetric_relations": True},
    {"attention": "clipped_l2norm"},
    {"attention": "clipped_l2norm", "use_global_interaction": False, "smoothing": 2.5},
    {"global_from": "enhanced"},
    {"global_from": "enhanced", "use_global_interaction": False},
    {"use_spatial_graph": False, "use_semantic_graph": False},
]


@pytest.mark.parametrize("direction", ["i2t", "t2i"])
@pytest.mark.parametrize("changed", [{}, *({name: False} for name in SWITCHES), *OPTIONS], ids=str)
def test_it_is_the_paper_s(direction, changed):
    model = build(direction, **changed)
    images, texts = batches()
    found = scores(model, images, texts)
    expected = plain_scores(model, images, texts, direction, **changed)
    deviation = (found - expected).abs().max().item()
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(3)).double()
    ours, theirs = of((found * weight).sum(), model), of((expected * weight).sum(), model)
    assert ours.keys() == theirs.keys()
    largest = max(g.abs().max().item() for g in theirs.values())
    gradient = max((ours[n] - g).abs().max().item() for n, g in theirs.items()) / largest
    print(f"{direction} {changed or ''}: scores {deviation:.0e}, gradients {gradient:.0e}")
    assert deviation < 1e-6  # the score itself is float32
    assert gradient < 1e-5
    with torch.no_grad():  # in place
        assert (scores(model, images, texts) - expected).abs().max() < 1e-6
    if changed:
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


@pytest.mark.parametrize("direction", ["i2t", "t2i"])
@pytest.mark.parametrize("changed", [{}, {"attention": "clipped_l2norm"}], ids=str)
def test_the_attention_that_is_shown_is_the_paper_s(direction, changed):
    """Eq. 5 of the first round, and that what is attended leads to the score."""
    model, (images, texts) = build(direction, **changed), batches()
    texts = texts[:3]
    found = list(model.explain(images, texts).attention.values())
    assert len(found) == 2
    regions, words = model.encode_images(images), model.encode_texts(texts)
    for i in range(3):
        v, t = regions.rows[i][images.mask[i]], words.rows[i][texts.mask[i]]
        x, y = (v, t) if direction == "i2t" else (t, v)
        config = Config(direction=direction, **changed)
        expected = torch.stack([a.softmax(dim=0) for a in plain.attention(x, y, config)])
        if direction == "i2t":
            expected = expected.T
        shown = found[0][i][: len(t), : len(v)].double()
        torch.testing.assert_close(shown, expected, rtol=1e-5, atol=1e-6)
    assert (found[0] - found[1]).abs().max() > 1e-4
