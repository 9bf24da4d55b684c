"""Label maps in colours, with a legend that says which is which."""

import numpy as np

from lib.display.labels import colour_of, label_picture, legend
from lib.extraction.categories import NAMES


def test_a_picture_and_its_legend_agree():
    labels = np.array([[53, 53, 53], [19, 255, 19]], np.float32)
    picture = np.array(label_picture(labels))
    found = legend(labels)
    assert [name for name, _, _ in found] == ["person", NAMES[19], "void"]
    assert NAMES[53] == "person"
    assert [share for _, _, share in found] == [3 / 6, 2 / 6, 1 / 6]
    for (_, colour, _), place in zip(found, ((0, 0), (1, 0), (1, 1)), strict=True):
        assert colour == "#{:02x}{:02x}{:02x}".format(*picture[place])


def test_categories_have_colours_of_their_own():
    assert len({colour_of(number) for number in (*range(133), 255)}) == 134
