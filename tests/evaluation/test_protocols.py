"""COCO's folds and its whole test split; which matrices and splits are refused."""

import numpy as np
import pytest

from lib.errors import InputError
from lib.evaluation.protocols import check_split, evaluate
from tests.evaluation.recorded import RECORDED, figures, recorded_scores


def test_recorded_folds():
    folded, whole = evaluate(recorded_scores(), "coco", "testall")
    for fold, expected in zip(folded.folds, RECORDED["fold5/folds"], strict=True):
        found = (*figures(fold.i2t), *figures(fold.t2i))
        np.testing.assert_allclose(found, expected, atol=1e-9)
    expected = RECORDED["fold5/folds"].mean(axis=0)
    found = (*figures(folded.metrics.i2t), *figures(folded.metrics.t2i))
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert folded.metrics.rsum == pytest.approx(sum(expected[:3]) + sum(expected[5:8]))
    assert figures(whole.metrics.i2t) == pytest.approx(RECORDED["full/i2t"].tolist(), abs=1e-9)
    assert figures(whole.metrics.t2i) == pytest.approx(RECORDED["full/t2i"].tolist(), abs=1e-9)
    assert whole.images == 500
    assert folded.images == 100


def test_coco_test_alone_is_refused():
    with pytest.raises(InputError, match="testall"):
        check_split("coco", "test")
    check_split("f30k", "test")
    with pytest.raises(InputError, match="five equal folds"):
        check_split("coco", "testall", 4999)


@pytest.mark.parametrize("shape", [(0, 0), (5, 24), (5, 5)])
def test_misshapen_scores_are_refused(shape):
    with pytest.raises(InputError, match="expected"):
        evaluate(np.zeros(shape), "f30k", "test")


def test_coco_needs_five_equal_folds():
    with pytest.raises(InputError, match="five equal folds"):
        evaluate(np.zeros((7, 35)), "coco", "testall")
