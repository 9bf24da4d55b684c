"""Highlight maps say what the model computes: gates, attention, and the terms of the score."""

import pytest
import torch

from lib.models.threeshnet.highlights import CELLS, REGIONS
from tests.models.threeshnet.small import batches, build, scores

ABLATIONS = (
    {},
    {"vsem": False},
    {"vspm": False},
    {"vsem": False, "vspm": False},
    {"normalise_images": False, "normalise_texts": False},
    {"segmentation": False},
    {"segmentation": False, "residual": False},
)


@pytest.mark.parametrize("settings", ABLATIONS, ids=str)
def test_the_score_is_the_sum_of_what_each_part_adds(settings):
    model, (images, texts) = build(**settings), batches()
    found = model.explain(images, texts)
    with torch.no_grad():
        expected = scores(model, images, texts).diagonal()
    torch.testing.assert_close(sum(found.score_parts.values()), expected)
    if model.text_encoder.normalise:  # else the words of a sentence of another length
        torch.testing.assert_close(found.words["score: what it adds"].sum(dim=1), expected)
    whole = settings.get("segmentation", True)
    assert list(found.parts) == (
        ["category token", REGIONS, "highlighted regions", CELLS] if whole else [REGIONS]
    )
    torch.testing.assert_close(sum(found.parts.values()), torch.ones(3))
    torch.testing.assert_close(found.words["GPO: share"].sum(dim=1), torch.ones(3))
    on_regions = [part for name, part in found.score_parts.items() if "regions" in name]
    torch.testing.assert_close(found.regions["score: what it adds"].sum(dim=1), sum(on_regions))
    if whole:
        cells = found.places["score: what it adds, segmentation cells"]
        assert cells.shape == (3, 7, 7)
        torch.testing.assert_close(cells.sum(dim=(1, 2)), found.score_parts[CELLS])
    assert ("VSeM: agreement" in found.regions) == (whole and settings.get("vsem", True))
    assert ("VSpM: attention" in found.maps) == (whole and settings.get("vspm", True))


def test_a_cell_is_where_it_is_in_the_segmentation():
    """A category that is in one cell alone changes what that cell adds most."""
    model, (images, texts) = build(vsem=False, vspm=False), batches()
    images.arrays["semantic"].zero_()
    before = model.explain(images, texts).places["score: what it adds, segmentation cells"]
    images.arrays["semantic"][:, 3, 2, 5] = 1.0
    after = model.explain(images, texts).places["score: what it adds, segmentation cells"]
    for change in (after - before).abs():
        assert divmod(int(change.argmax()), 7) == (2, 5)


def test_the_pictures_alone_have_no_terms_of_a_score():
    model, (images, texts) = build(), batches()
    alone, pair = model.explain(images), model.explain(images, texts)
    assert not alone.score_parts
    assert not alone.words
    assert alone.regions.keys() < pair.regions.keys()
    for name, values in alone.regions.items():
        assert torch.equal(values, pair.regions[name])


def test_a_picture_s_maps_do_not_depend_on_its_neighbours():
    model, (images, texts) = build(), batches()
    together = model.explain(images, texts)
    for row in range(3):
        alone = model.explain(images[row : row + 1], texts[row : row + 1])
        torch.testing.assert_close(
            alone.maps["VSpM: attention"][0], together.maps["VSpM: attention"][row]
        )
        for name, values in alone.regions.items():
            torch.testing.assert_close(values[0], together.regions[name][row])
