"""Dropped rows, and what a window shows of a picture and its arrays."""

import numpy as np
import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d

from lib.data.augmentation import Window, drop_rate, kept_rows, sample_window

SOME = Window(0.13, 0.31, 0.71, 0.98, mirrored=True)


def test_dropping_rows_packs_the_rest_and_never_takes_all():
    rows = np.arange(36, dtype=np.float32)[:, None]
    generator = np.random.default_rng(0)
    kept = [rows[kept_rows(len(rows), 0.2, generator)][:, 0] for _ in range(2000)]
    assert np.mean([len(k) for k in kept]) == pytest.approx(0.8 * 36, rel=0.01)
    assert all((np.diff(k) > 0).all() for k in kept)
    survivors = [rows[:3][kept_rows(3, 1.0, generator)][:, 0].tolist() for _ in range(200)]
    assert {tuple(s) for s in survivors} == {(0.0,), (1.0,), (2.0,)}


def test_vse_infinitys_scheme_spares_a_fifth_of_the_pictures():
    generator = np.random.default_rng(0)
    rates = np.array([drop_rate("vse_infinity", 0.2, generator) for _ in range(20_000)])
    assert np.mean(rates == 0) == pytest.approx(0.2, abs=0.01)
    dropping = rates[rates > 0]
    assert dropping.min() == pytest.approx(0.04, abs=1e-3)
    assert dropping.max() == pytest.approx(0.2, abs=1e-3)
    assert np.quantile(dropping, (0.25, 0.5, 0.75)) == pytest.approx((0.08, 0.12, 0.16), abs=3e-3)


def test_dropping_each_row_alike_draws_nothing_more():
    generator = np.random.default_rng(0)
    assert drop_rate("each", 0.2, generator) == 0.2
    assert generator.random() == np.random.default_rng(0).random()


def test_a_whole_window_changes_nothing():
    generator = np.random.default_rng(0)
    labels, shares = generator.integers(0, 9, (16, 16)), generator.random((4, 7, 7), np.float32)
    np.testing.assert_array_equal(Window().label_map(labels), labels)
    np.testing.assert_allclose(Window().shares(shares), shares, atol=1e-7)
    mirror = Window(mirrored=True)
    np.testing.assert_array_equal(mirror.label_map(labels), labels[:, ::-1])
    np.testing.assert_allclose(mirror.shares(shares), shares[..., ::-1], atol=1e-7)


def test_a_window_on_arrays_is_the_naive_one():
    labels = np.random.default_rng(0).integers(0, 9, (16, 16))
    seen = SOME.label_map(labels)
    for row in range(16):
        for column in range(16):
            y = SOME.top + (row + 0.5) / 16 * (SOME.bottom - SOME.top)
            x = SOME.right - (column + 0.5) / 16 * (SOME.right - SOME.left)  # mirrored
            assert seen[row, column] == labels[int(y * 16), int(x * 16)]
    # Cells of 100 pixels a side, cut at whole pixels, and averaged again.
    shares = np.random.default_rng(1).random((3, 7, 7), np.float32)
    pixels = torch.from_numpy(shares.repeat(100, 1).repeat(100, 2)).double()
    window = Window(0.1, 0.2, 0.8, 0.9)
    cut = adaptive_avg_pool2d(pixels[:, 140:630, 70:560], 7)
    np.testing.assert_allclose(window.shares(shares), cut.numpy(), atol=1e-6)


def test_windows_cover_what_they_should():
    generator = np.random.default_rng(0)
    windows = [sample_window(0.6, 0.5, generator) for _ in range(4000)]
    widths = np.array([w.right - w.left for w in windows])
    heights = np.array([w.bottom - w.top for w in windows])
    for sides in (widths, heights):
        assert 0.6 <= sides.min() < 0.61
        assert 0.99 < sides.max() <= 1
        assert sides.mean() == pytest.approx(0.8, abs=0.01)
    np.testing.assert_allclose(widths, heights)  # one share of both sides
    lefts = np.array([w.left for w in windows]) / (1 - widths)
    tops = np.array([w.top for w in windows]) / (1 - heights)
    assert abs(np.corrcoef(lefts, tops)[0, 1]) < 0.05  # at a random place
    assert min(min(w.left, w.top) for w in windows) >= 0
    assert max(max(w.right, w.bottom) for w in windows) <= 1
    assert np.mean([w.mirrored for w in windows]) == pytest.approx(0.5, abs=0.03)
    assert sample_window(1.0, 0.0, generator) == Window()
