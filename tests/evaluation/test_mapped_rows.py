"""Rows of files are rows of one array."""

import numpy as np

from lib.evaluation import mapped_rows
from lib.evaluation.mapped_rows import Rows
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


def test_files_need_not_be_equally_long(tmp_path):
    rows = np.random.default_rng(0).standard_normal((10, 3), np.float32)
    starts, paths = np.array([0, 2, 7, 10]), [tmp_path / f"{i}.npy" for i in range(3)]
    for path, part in zip(paths, np.split(rows, starts[1:-1]), strict=True):
        np.save(path, part)
    found = Rows(paths, starts, 3, rows.dtype)
    numbers = np.array([9, 6, 0, 2, 7, 6])
    np.testing.assert_array_equal(found.take(numbers), rows[numbers])
    for first in range(11):
        for last in range(first, 11):
            np.testing.assert_array_equal(found[first:last], rows[first:last])
