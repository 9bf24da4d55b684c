"""Pictures as a model reads them, through a window."""

import json

import numpy as np
import pytest
from PIL import Image

from lib.config import FeaturesConfig
from lib.data.augmentation import Window, sample_window
from lib.data.images import Pixels, bilinear
from lib.errors import InputError

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


def formula(picture, size):
    """Bilinear interpolation between half-pixel centres, pixel by pixel."""
    height, width = picture.shape[:2]
    found = np.empty((3, size, size))
    for row in range(size):
        y = min(max((row + 0.5) * height / size - 0.5, 0), height - 1)
        for column in range(size):
            x = min(max((column + 0.5) * width / size - 0.5, 0), width - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            upper = picture[top, left] * (1 - x + left) + picture[top, right] * (x - left)
            lower = picture[bottom, left] * (1 - x + left) + picture[bottom, right] * (x - left)
            found[:, row, column] = upper * (1 - y + top) + lower * (y - top)
    return found


@pytest.mark.parametrize("shape", [(20, 31), (7, 5), (64, 48)])
def test_resizing_is_the_formula_without_antialiasing(shape):
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    seen = bilinear(picture, 16)
    assert seen.dtype == np.float32
    deviation = np.abs(seen - formula(picture.astype(float), 16)).max()
    print(f"{shape}: largest deviation {deviation:.0e} of 255")
    assert deviation < 1e-3
    same = bilinear(np.ascontiguousarray(picture[:5, :5]), 5)
    np.testing.assert_array_equal(same, picture[:5, :5].transpose(2, 0, 1))


def test_ids_that_are_no_names_are_mapped(tmp_path):
    """Flickr30K's ids are numbers of SCAN's files; VSE-infinity's id_mapping.json tells names."""
    settings = FeaturesConfig(type="images", image_size=32)
    below = tmp_path / "flickr30k-images"
    below.mkdir()
    for number, name in enumerate(("1000092795.jpg", "36979.jpg")):
        Image.new("RGB", (40, 40), (100 * number, 0, 0)).save(below / name)
    Image.new("RGB", (40, 40), (7, 7, 7)).save(below / "named.png")
    with pytest.raises(InputError, match=r"no picture named 0, .* id_mapping\.json beside the pic"):
        Pixels(below, ["0", "1"], settings)
    (tmp_path / "id_mapping.json").write_text(json.dumps({"0": "1000092795.jpg", "1": "36979.jpg"}))
    for folder in (below, tmp_path):  # the file is beside the folder, or in it
        pixels = Pixels(folder, ["1", "0", "named"], settings)
        assert [p.name for p in pixels.paths] == ["36979.jpg", "1000092795.jpg", "named.png"]
        assert pixels[0][0, 0, 0] == 100
    mapped = Pixels(below, ["0"], settings).describe()
    assert mapped.endswith(f"by {tmp_path / 'id_mapping.json'}")
    with pytest.raises(InputError, match=r"image 7: the mapping does not name it, and there is no"):
        Pixels(below, ["7"], settings)
    names = {"0": "images/1000092795.jpg", "1": "flickr30k-images/36979.jpg"}
    (tmp_path / "id_mapping.json").write_text(json.dumps(names))
    assert Pixels(below, ["1"], settings)[0][0, 0, 0] == 100  # from where the file is
    with pytest.raises(InputError, match=r"names images/1000092795\.jpg, and there is no .*images"):
        Pixels(below, ["1", "0"], settings)
    (tmp_path / "id_mapping.json").write_text('{"0": null}')
    with pytest.raises(InputError, match=r"id_mapping\.json: the entry of 0 is no file name"):
        Pixels(below, ["0"], settings)
    (tmp_path / "id_mapping.json").write_text("[]")
    with pytest.raises(InputError, match=r"id_mapping\.json: is not a JSON object of ids and"):
        Pixels(below, ["0"], settings)
