"""Highlight maps: asked for alone, of every family, and nothing else knows of them."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lib.batch import ImageBatch
from lib.models.common.explanation import Explanation
from lib.models.common.retrieval_model import RetrievalModel
from tests.models.cmsei import small as cmsei
from tests.models.lhsc import small as lhsc
from tests.models.threeshnet import small as threeshnet

BUILDS = {
    "3SHNet": (threeshnet.build, threeshnet),
    "CMSEI I-T": (lambda: cmsei.build("i2t"), cmsei),
    "CMSEI T-I": (lambda: cmsei.build("t2i"), cmsei),
    "LHSC": (lhsc.build, lhsc),
}


class Recorded(TorchDispatchMode):
    """Which operations were computed."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def computed(model, small, training):
    """Operations, scores and gradients of a step, or of an evaluation; the state is restored."""
    images, texts = small.batches()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    model.train(training)
    torch.manual_seed(0)  # of dropout
    with torch.set_grad_enabled(training), Recorded() as record:
        scores = small.scores(model, images, texts)
        gradients = []
        if training:
            used = [p for p in model.parameters() if p.requires_grad]
            gradients = torch.autograd.grad(scores.square().sum(), used, allow_unused=True)
    model.load_state_dict(state)
    return record.names, scores.detach(), [g for g in gradients if g is not None]


@pytest.mark.parametrize("name", BUILDS)
def test_encoding_and_scoring_know_nothing_of_it(name):
    """The same operations with the same results, in evaluation and in a training step."""
    build, small = BUILDS[name]
    model = build()
    before = [computed(model, small, training) for training in (False, True)]
    state = {key: value.clone() for key, value in model.state_dict().items()}
    images, texts = small.batches()
    model.train()
    model.explain(images, texts[: len(images)])
    assert all(module.training for module in model.modules())
    for key, value in model.state_dict().items():  # running statistics among them
        assert torch.equal(value, state[key]), key
    after = [computed(model, small, training) for training in (False, True)]
    for (names, scores, gradients), (others, again, theirs) in zip(before, after, strict=True):
        assert names == others
        assert torch.equal(scores, again)
        assert all(torch.equal(g, h) for g, h in zip(gradients, theirs, strict=True))


@pytest.mark.parametrize("name", BUILDS)
def test_the_shapes_are_those_that_are_documented(name):
    build, small = BUILDS[name]
    model, (images, texts) = build(), small.batches()
    texts = texts[: len(images)]
    found = model.explain(images, texts)
    batch, width = images.mask.shape
    assert torch.equal(found.mask, images.mask)
    sizes = {"regions": (batch, width), "words": texts.ids.shape}
    sizes["attention"] = (batch, texts.ids.shape[1], width)
    sizes |= {"parts": (batch,), "score_parts": (batch,), "places": (batch, 7, 7)}
    sizes["maps"] = (batch, width, 4, 4)
    for kind, size in sizes.items():
        for title, values in getattr(found, kind).items():
            assert values.shape == size, title
            assert not values.requires_grad
    assert found.regions or found.attention
    behind = ~images.mask
    for values in found.regions.values():
        assert values[behind].abs().sum() == 0
    for values in found.words.values():
        assert values[~texts.mask].abs().sum() == 0
    for values in found.attention.values():
        assert values[~texts.mask].abs().sum() == 0
        assert values.transpose(1, 2)[behind].abs().sum() == 0


def test_a_family_without_any_shows_which_regions_are_real():
    batch = ImageBatch(torch.randn(2, 3, 4), torch.tensor([3, 1]), torch.arange(2))
    found = RetrievalModel().explain(batch)
    assert found.mask.tolist() == [[True] * 3, [True, False, False]]
    assert found == Explanation(found.mask)
