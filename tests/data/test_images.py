"""Pictures as a model reads them, through a window."""

import numpy as np
from PIL import Image

from lib.config import FeaturesConfig
from lib.data.augmentation import Window, sample_window
from lib.data.images import Pixels

SOME = Window(0.13, 0.31, 0.71, 0.98, mirrored=True)


def test_picture_and_label_map_are_seen_through_the_same_window(tmp_path):
    """The picture is the label map, in grey; smooth, so that resampling blurs little."""
    y, x = np.mgrid[0:160, 0:160]
    labels = (120 + 60 * np.sin(x / 40) + 40 * np.cos(y / 30)).astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "a.png")
    pixels = Pixels(tmp_path, ["a"], FeaturesConfig(type="images", image_size=160))
    generator = np.random.default_rng(0)
    for window in (Window(), SOME, *(sample_window(0.6, 0.5, generator) for _ in range(20))):
        view = pixels.view(0, window)
        assert view.shape == (3, 160, 160)
        difference = view[0].astype(int) - window.label_map(labels).astype(int)
        assert np.abs(difference).mean() < 1, window
        assert np.abs(difference).max() < 6, window
