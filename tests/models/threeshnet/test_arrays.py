"""What segmentation arrays must hold."""

import numpy as np
import pytest

from lib.models.threeshnet.arrays import label_problem, presence_problem, share_problem


@pytest.mark.parametrize(
    ("value", "problem"), [(0, None), (1, None), (1.0005, None), (1.2, "1.2"), (-0.1, "-0.1")]
)
def test_shares(value, problem):
    found = share_problem(np.array([[0.5, value]], np.float32))
    assert found == (None if problem is None else f"a share of {problem}, expected 0 to 1")


@pytest.mark.parametrize(("value", "fits"), [(0, True), (1, True), (0.5, False), (3, False)])
def test_presences(value, fits):
    assert (presence_problem(np.array([1, value], np.float32)) is None) == fits


@pytest.mark.parametrize(
    ("value", "fits"), [(0, True), (4, True), (255, True), (5, False), (-1, False), (2.5, False)]
)
def test_labels(value, fits):
    problem = label_problem(5, np.array([[0, 3], [255, value]], np.float32))
    assert problem is None if fits else f"label {value:g}, expected 0 to 4" in problem
