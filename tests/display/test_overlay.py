"""Heat over pictures: where it is, how strong, and in which colour."""

import numpy as np
import pytest
import torch
from PIL import Image

from lib.display.gallery import Shown
from lib.display.overlay import BELOW, HIGH, STRENGTH, over, pair_layer, region_heat, relative
from lib.models.common.explanation import Explanation

BOXES = np.array([[0, 0, 1, 0.5], [0, 0, 0.5, 1], [0.9, 0.9, 0.9, 0.9]])


def test_the_strongest_region_is_on_top():
    heat = region_heat(np.array([0.2, 1.0, 0.2]), BOXES, (10, 4))
    assert heat.shape == (4, 10)
    assert (heat[:, :5] == 1).all()
    assert (heat[:2, 5:] == 0).all()
    assert heat[2:, 5:].sum() == 0  # no region, or the least
    heat = region_heat(np.array([0.5, -1.0, 0.0]), BOXES, (10, 4))
    assert (heat[:, :5] == -1).all()
    assert (heat[:2, 5:] == 0.5).all()


def test_values_alike_are_neither_least_nor_most():
    assert relative(np.array([0.3, 0.3])).tolist() == [0.5, 0.5]
    assert relative(np.array([1.0, 3.0, 2.0])).tolist() == [0, 1, 0.5]
    assert relative(np.array([-2.0, 1.0])).tolist() == [-1, 0.5]


def test_colours():
    picture = Image.new("RGB", (3, 1), (200, 100, 50))
    found = np.array(over(picture, np.array([[0.0, 1.0, -1.0]])))[0]
    base = np.array([200, 100, 50])
    assert found[0].tolist() == base.tolist()
    for pixel, colour in zip(found[1:], (HIGH, BELOW), strict=True):
        mixed = base * (1 - STRENGTH) + np.array(colour) * STRENGTH
        np.testing.assert_allclose(pixel, mixed, atol=1)


def test_regions_that_spend_alike_on_all_words_are_told_apart_by_one():
    """As CMSEI I-T's: each region's attention to the words sums to one."""
    weights = torch.tensor([[0.7, 0.4, 0.5], [0.3, 0.6, 0.5]])[None]
    maps = Explanation(torch.ones(1, 3, dtype=torch.bool), attention={"regions to words": weights})
    layer = pair_layer(Shown(maps, ["a", "b"], 0.5, None))
    assert layer.name == "regions to words, most of a word"
    np.testing.assert_allclose(layer.values, [0.7, 0.6, 0.5])
    rounded = 1 / 11 + np.array([0, 1e-8, -1e-8])
    assert relative(rounded).tolist() == [0.5] * 3


@pytest.mark.parametrize("number", [0, 1], ids=["vectors", "pairs"])
def test_what_says_most_of_a_pair(galleries, number):
    gallery = galleries[number]
    shown = gallery.explain(2, gallery.split.captions[10], (224, 224))
    layer = pair_layer(shown)
    assert layer.values.shape == (6,)
    if number:
        assert layer.name == "words to regions, mean of the words"
        assert layer.values.sum() == pytest.approx(1, abs=1e-4)
    else:
        assert layer.name == "score: what it adds"
    assert pair_layer(gallery.explain(2, None, None)) is None
