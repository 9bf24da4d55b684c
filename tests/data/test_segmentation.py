"""Shares of cells, label maps and presence, from a picture's labels."""

import numpy as np
import pytest

from lib.data.segmentation import VOID, arrays_of


def test_shares_of_uneven_cells_are_adaptive_averages():
    labels = np.random.default_rng(0).choice([3, 60, VOID], (50, 37)).astype(np.uint8)
    arrays = arrays_of(labels)
    for row in range(7):
        for column in range(7):
            rows = slice(row * 50 // 7, -(-(row + 1) * 50 // 7))
            columns = slice(column * 37 // 7, -(-(column + 1) * 37 // 7))
            for number in (3, 60):
                share = (labels[rows, columns] == number).mean()
                assert arrays["segmentations"][number, row, column] == pytest.approx(share)
    assert arrays["segmentations"].sum(axis=(1, 2)).nonzero()[0].tolist() == [3, 60]
    assert arrays["cat_onehots"].nonzero()[0].tolist() == [3, 60]
    assert set(np.unique(arrays["seg_maps"])) == {3, 60, VOID}


def test_a_picture_of_nothing():
    arrays = arrays_of(np.full((9, 9), VOID, np.uint8))
    assert arrays["segmentations"].sum() == arrays["cat_onehots"].sum() == 0
    assert (arrays["seg_maps"] == VOID).all()
