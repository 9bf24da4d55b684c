import numpy as np
import pytest

from lib.data.dataset import TrainingPairs
from lib.data.noise import image_of_each
from lib.training.loop import Run


@pytest.mark.parametrize("ratio", [0.1, 0.2, 0.5, 1.0])
def test_a_share_has_other_images_and_every_image_as_many_captions(ratio):
    own = np.arange(500) // 5
    found = image_of_each(500, ratio, seed=3)
    assert (found != own).sum() == round(500 * ratio)
    assert np.array_equal(np.bincount(found), np.bincount(own))
    assert np.array_equal(found, image_of_each(500, ratio, seed=3))
    assert not np.array_equal(found, image_of_each(500, ratio, seed=4))
    # Not the neighbour's: images far apart are exchanged.
    assert np.abs(found - own)[found != own].mean() > 20


@pytest.mark.parametrize(("captions", "ratio"), [(500, 0.0), (5, 1.0), (40, 0.2)])
def test_too_few_to_exchange_are_left(captions, ratio):
    found = image_of_each(captions, ratio, seed=0)
    assert np.array_equal(found, np.arange(captions) // 5)
    assert (image_of_each(10, 1.0, seed=0) != np.arange(10) // 5).all()


def test_pairs_hold_the_other_image_and_their_own_caption(config):
    clean, noisy = (
        Run(config("train.epochs=1", f"data.noise_ratio={ratio}", "features.drop=0"), False, False)
        for ratio in (0, 0.4)
    )
    pairs = [TrainingPairs(r.train_split, r.train_captions, r.config) for r in (clean, noisy)]
    assert pairs[1].noise == "48 of 120 training captions have other images"
    others = 0
    for caption in range(120):
        (image, text), (other, same) = (one[0, caption] for one in pairs)
        assert text[0] == same[0] and np.array_equal(text[1], same[1])
        assert image.index == caption // 5
        assert np.array_equal(other.rows, noisy.train_split.features[other.index])
        others += other.index != image.index
    assert others == 48
