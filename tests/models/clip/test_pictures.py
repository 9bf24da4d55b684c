"""A picture as a hub model's own preprocessing has it."""

import numpy as np
import pytest
from PIL import Image
from transformers import AutoImageProcessor

from lib.models.clip.pictures import Preprocessor


@pytest.mark.parametrize("kind", ["clip", "siglip"])
@pytest.mark.parametrize("size", [(64, 48), (20, 90), (32, 32), (1, 1)])
def test_it_is_transformers(hubs, kind, size):
    values = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    picture = Image.fromarray(values)
    found = Preprocessor(hubs[kind])(picture)
    theirs = AutoImageProcessor.from_pretrained(hubs[kind])(images=picture, return_tensors="np")
    assert found.dtype == np.float32 and found.shape == (3, 32, 32)
    np.testing.assert_array_equal(found, theirs["pixel_values"][0])
