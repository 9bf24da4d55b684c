"""benchmarks/pointing.py: what a sentence mentions, which regions are on it, and the table."""

import re

import numpy as np
import pytest

from benchmarks import pointing
from lib.extraction.categories import NAMES
from tests.display.conftest import galleries, shown_runs  # noqa: F401


def test_what_a_sentence_mentions():
    known = pointing.words_for()
    named = pointing.mentions("Two men walk their dogs, past a Traffic Light.", known)
    assert {word: [NAMES[n] for n in numbers] for word, numbers in named.items()} == {
        "men": ["person"], "dogs": ["dog"], "light": ["light"],
        "traffic light": ["traffic light"],
    }  # fmt: skip
    assert {NAMES[n] for n in known["bikes"]} == {"bicycle", "motorcycle"}
    assert pointing.mentions("nothing of the kind", known) == {}


def test_which_regions_are_on_it():
    labels = np.zeros((4, 4))
    labels[:2, :2] = 53
    boxes = np.array([[0, 0, 0.5, 0.5], [0, 0, 1, 1], [0.5, 0.5, 1, 1], [0, 0, 0.75, 0.5],
                      [1, 1, 1, 1]])  # fmt: skip
    found = pointing.on_thing(labels, boxes, {53})
    assert found.tolist() == [True, False, False, True, False]


@pytest.mark.parametrize("number", [0, 1], ids=["vectors", "pairs"])
def test_its_table(shown_runs, tmp_path, number, capsys):  # noqa: F811
    words = [str(shown_runs[number]), "--keep", str(tmp_path), "--device", "cpu"]
    pointing.main([*words, "--captions", "20"])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if "±" in line]
    names = [row[0].removeprefix("| ") for row in rows]
    wanted = [
        ["VSeM: agreement", "GPO: share", "score: what it adds"],
        ["global pooling: share", "words to regions, the mentioning word"],
    ][number]
    assert [name for name in names if "VSpM" not in name] == wanted
    for _, mass, _, chance, count in rows:
        assert 0 < float(re.match(r"[\d.]+", mass)[0]) <= 100
        assert 0 < float(chance) < 100
        assert int(count.rstrip(" |")) >= 5


def test_a_word_s_own_attention_is_its_mass(galleries):  # noqa: F811
    gallery = galleries[1]
    text = gallery.split.captions[0]
    shown = gallery.explain(0, text, (224, 224))
    (name, attention), *_ = shown.maps.attention.items()
    for row, piece in enumerate(shown.pieces):
        if shown.pieces.count(piece) == 1:
            found = pointing.masses(shown, {piece})[f"{name}, the mentioning word"]
            np.testing.assert_allclose(found, attention[0, row], rtol=1e-5)
