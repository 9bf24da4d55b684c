"""Rows of files are rows of one array."""

import numpy as np

from lib.evaluation import mapped_rows
from tests.evaluation.shards import some, write_shards


def test_rows_of_files_are_rows_of_one_array(tmp_path, monkeypatch):
    monkeypatch.setattr(mapped_rows, "OPEN", 2)  # fewer than there are
    images, captions, ids = some()
    found = write_shards(tmp_path / "e", images, ids, captions)
    assert len(found.shards) == 6
    half = images.astype(np.float16)
    for part in (slice(0, 21), slice(3, 4), slice(3, 9), slice(20, 30), slice(5, 5)):
        np.testing.assert_array_equal(found.images[part], half[part])
    np.testing.assert_array_equal(found.captions[:], captions.astype(np.float16))
    numbers = np.array([20, 0, 7, 7, 3])
    np.testing.assert_array_equal(found.images.take(numbers), half[numbers])
    assert found.image_ids == ids
    assert found.ids[20] == "020"
    assert found.captions.shape == (105, 6)
    assert (found.dataset, found.split, found.origin.checkpoint) == ("scenes", "test", "a.pth")
