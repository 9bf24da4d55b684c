"""Published figures: the specification's, and beside which results they stand."""

import numpy as np
import pytest

from lib.evaluation.protocols import evaluate
from lib.evaluation.published import all_rows, released_folds
from lib.evaluation.records import Origin
from lib.evaluation.report import format_table

# The figures of the specification's tables, its sources and its missing cells; i2t, t2i, rSum.
SPECIFIED = """
3SHNet | coco 1000 | 83.6 97.4 99.2 | 68.7 92.6 96.6 | 538.0 | authors' re-run
3SHNet | f30k 1000 | 87.1 - - | 69.5 - - | - | public listing of the paper
3SHNet | coco 5000 | - - - | 50.3 - - | - | public listing of the paper
VSE-infinity | coco 1000 | 79.7 96.4 98.9 | 64.8 91.4 96.3 | 527.5 | its README, and CMSEI, Table 1
VSE-infinity | coco 5000 | 58.3 85.3 92.3 | 42.4 72.7 83.2 | 434.3 | CMSEI, Table 1
VSE-infinity | f30k 1000 | 81.7 95.4 97.6 | 61.4 85.9 91.5 | 513.5 | its README, and CMSEI, Table 2
VSE-infinity BUTD | coco 1000 | 80.4 96.8 - | 66.4 92.1 - | - | VSE-infinity's README
VSE-infinity BUTD | f30k 1000 | 81.5 97.1 - | 63.7 88.3 - | - | VSE-infinity's README
VSE-infinity WSL | coco 1000 | 84.5 98.1 - | 72.0 93.9 - | - | VSE-infinity's README
VSE-infinity WSL | f30k 1000 | 88.4 98.3 - | 74.2 93.7 - | - | VSE-infinity's README
CMSEI | coco 1000 | 81.4 96.6 98.8 | 65.8 91.8 96.8 | 531.1 | CMSEI, Table 1
CMSEI | coco 5000 | 61.5 86.3 92.7 | 44.0 73.4 83.4 | 441.2 | CMSEI, Table 1
CMSEI | f30k 1000 | 82.3 96.4 98.6 | 64.1 87.3 92.6 | 521.3 | CMSEI, Table 2
CMSEI I-T | coco 1000 | 78.7 95.9 98.3 | 62.5 90.5 96.1 | - | CMSEI, Table 3
CMSEI T-I | coco 1000 | 78.7 96.2 98.8 | 63.6 90.9 96.2 | - | CMSEI, Table 3
CMSEI I-T | f30k 1000 | 78.0 95.2 98.0 | 59.5 84.2 91.1 | - | CMSEI, Table 3
CMSEI T-I | f30k 1000 | 79.0 94.6 97.9 | 60.4 85.5 90.5 | - | CMSEI, Table 3
"""


def test_published_rows_are_the_specification_s():
    def cells(values):
        return " ".join("-" if value is None else f"{value:.1f}" for value in values)

    found = {
        f"{row.model} | {row.dataset} {row.images} | {cells(row.i2t)} | {cells(row.t2i)} | "
        f"{cells([row.rsum])} | {row.source}"
        for row in all_rows()
    }
    assert found == set(SPECIFIED.strip().splitlines())
    assert len(all_rows()) == len(found)


def test_published_recall_sums_are_the_sums_of_their_recalls():
    for row in all_rows():
        if row.rsum is not None:
            # Six rounded recalls, perhaps each a rounded mean of five folds.
            assert row.rsum == pytest.approx(sum(row.i2t) + sum(row.t2i), abs=0.31), row


def test_the_folds_of_the_re_run_are_the_mean_that_is_published():
    (row,) = [r for r in all_rows() if r.source == "authors' re-run"]
    folds = np.array([[*i2t, *t2i] for i2t, t2i in released_folds()])
    assert folds.shape == (5, 6)
    np.testing.assert_allclose(folds.mean(axis=0), [*row.i2t, *row.t2i], atol=0.1)  # rounded twice


def test_published_rows_name_single_models_and_ensembles():
    kinds = {(row.model, row.features, row.models) for row in all_rows()}
    assert kinds == {
        ("3SHNet", "region", "single"), ("3SHNet", None, None), ("CMSEI", "region", "ensemble"),
        ("VSE-infinity", "region", "single"), ("CMSEI I-T", "region", "single"),
        ("CMSEI T-I", "region", "single"), ("VSE-infinity BUTD", "images", "single"),
        ("VSE-infinity WSL", "images", "single"),
    }  # fmt: skip


def test_published_rows_stand_beside_comparable_ones_only():
    images = np.eye(1000, dtype=np.float32).repeat(5, axis=1)
    results = evaluate(images, "f30k", "test")

    def table(model, features="region", source="f30k", split="test", results=results):
        return format_table(Origin("m.pth", model, features, source), "f30k", split, results)

    assert "87.1" in table("3SHNet")
    assert "87.1" in table("3SHNet", "grid")  # best reported; of which features, nobody says
    assert "81.7" in table("VSE-infinity")
    assert "81.7" not in table("VSE-infinity", "grid")
    assert "88.4" in table("VSE-infinity WSL", "images")
    assert "88.4" not in table("VSE-infinity", "images")
    assert "87.1" not in table("3SHNet without VSeM")
    assert "87.1" not in table("3SHNet", source="coco")
    assert "87.1" not in table("3SHNet", split="dev")
    assert "82.3" not in table("CMSEI")  # an ensemble's
    fewer = evaluate(images[:500, :2500], "f30k", "test")
    assert "87.1" not in table("3SHNet", results=fewer)
