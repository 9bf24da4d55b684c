import numpy as np
import pytest
from PIL import Image

from lib.evaluation.perturbations import FUNCTION_WORDS, PICTURES, swapped

CAPTIONS = [
    "A red dog runs on the beach.", "A dog on a beach", "The dog is wet", "a brown dog", "Dog!",
    "A red cat sits on the sofa.", "A cat on a sofa", "The cat is sleeping", "a brown cat", "Cat!",
    "A blue car stands on the road.", "A car on a road", "The car is parked", "a blue car", "Car!",
]  # fmt: skip


def test_one_word_goes_for_one_that_the_image_has_not():
    twins = swapped(CAPTIONS, seed=1)
    for number, (caption, twin) in enumerate(zip(CAPTIONS, twins, strict=True)):
        words, others = caption.split(), twin.split()
        changed = [(a, b) for a, b in zip(words, others, strict=True) if a != b]
        assert len(changed) == 1, (caption, twin)
        ((old, new),) = changed
        bare = new.strip(".!").lower()
        assert old.strip(".!").lower() not in FUNCTION_WORDS
        first = number - number % 5
        own = " ".join(CAPTIONS[first : first + 5]).lower()
        assert bare.rstrip("s") not in own
        assert old[0].isupper() == new[0].isupper() and old[-1:].isalpha() == new[-1:].isalpha()


def test_what_fits_stands_between_the_same_words_elsewhere():
    twin = swapped(CAPTIONS)[1].split()
    assert twin in (["A", "cat", "on", "a", "beach"], ["A", "car", "on", "a", "beach"],
                    ["A", "dog", "on", "a", "sofa"], ["A", "dog", "on", "a", "road"])  # fmt: skip


def test_a_seed_draws_the_same_again():
    assert swapped(CAPTIONS, 3) == swapped(CAPTIONS, 3)
    assert swapped(CAPTIONS, 3) != swapped(CAPTIONS, 4)


def test_a_caption_without_content_has_no_twin():
    assert swapped(["It is on the", "", "42", "a", "..."] * 2) == [None] * 10


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_keep_their_size_and_change(name):
    values = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    found = np.asarray(PICTURES[name](Image.fromarray(values))).astype(int)
    assert found.shape == values.shape
    if name == "dim":
        assert found.mean() == pytest.approx(0.35 * values.mean(), rel=0.02)
    else:
        assert found.mean() == pytest.approx(values.mean(), rel=0.02)
        assert found.std() < 0.6 * values.std()
