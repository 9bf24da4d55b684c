"""What is printed, cell by cell: every figure is another one, so that none can take a neighbour's
place. ``python -m tests.evaluation.test_tables`` prints the file that is compared with."""

import pytest

from lib.evaluation.metrics import DirectionMetrics, RetrievalMetrics
from lib.evaluation.protocols import ProtocolResult
from lib.evaluation.published import all_rows
from lib.evaluation.records import Member, Origin, Record, single_record
from lib.evaluation.report import format_ensemble, format_table
from lib.evaluation.results_table import compare, to_csv, to_latex, to_markdown
from lib.models.family import Whole
from tests.support import GOLDEN

PRINTED = GOLDEN / "printed_tables.txt"
# The figures of the specification's tables, its sources and its missing cells; i2t, t2i, rSum.
SPECIFIED = """
3SHNet | coco 1000 | 83.6 97.4 99.2 | 68.7 92.6 96.6 | 538.0 | authors' re-run
3SHNet | f30k 1000 | 87.1 - - | 69.5 - - | - | public listing of the paper
3SHNet | coco 5000 | - - - | 50.3 - - | - | public listing of the paper
VSE-infinity | coco 1000 | 79.7 96.4 98.9 | 64.8 91.4 96.3 | 527.5 | CMSEI, Table 1
VSE-infinity | coco 5000 | 58.3 85.3 92.3 | 42.4 72.7 83.2 | 434.3 | CMSEI, Table 1
VSE-infinity | f30k 1000 | 81.7 95.4 97.6 | 61.4 85.9 91.5 | 513.5 | CMSEI, Table 2
CMSEI | coco 1000 | 81.4 96.6 98.8 | 65.8 91.8 96.8 | 531.1 | CMSEI, Table 1
CMSEI | coco 5000 | 61.5 86.3 92.7 | 44.0 73.4 83.4 | 441.2 | CMSEI, Table 1
CMSEI | f30k 1000 | 82.3 96.4 98.6 | 64.1 87.3 92.6 | 521.3 | CMSEI, Table 2
CMSEI I-T | coco 1000 | 78.7 95.9 98.3 | 62.5 90.5 96.1 | - | CMSEI, Table 3
CMSEI T-I | coco 1000 | 78.7 96.2 98.8 | 63.6 90.9 96.2 | - | CMSEI, Table 3
CMSEI I-T | f30k 1000 | 78.0 95.2 98.0 | 59.5 84.2 91.1 | - | CMSEI, Table 3
CMSEI T-I | f30k 1000 | 79.0 94.6 97.9 | 60.4 85.5 90.5 | - | CMSEI, Table 3
"""


def metrics(start):
    i2t = DirectionMetrics(start, start + 7.5, start + 12.13, start // 10, start / 7)
    t2i = DirectionMetrics(start - 3.2, start + 9.9, start + 14.26, start // 9 + 1, start / 3)
    return RetrievalMetrics(i2t, t2i)


def results(start):
    folds = [metrics(start + 1.3 * i) for i in range(5)]
    return [
        ProtocolResult("testall, mean of 5 folds of 1,000", 1000, metrics(start + 2.6), folds),
        ProtocolResult("testall, all 5,000 images", 5000, metrics(start - 20.5)),
    ]


def origin(kind, seed, epoch, source="coco", model="3SHNet", **more):
    config = {
        "model": {"name": model},
        "features": {"type": kind, "drop": 0.2},
        "train": {"lr": 5e-4},
        "run": {"seed": seed},
    }
    return Origin(f"{kind}{seed}.pth", model, kind, source, seed, epoch, config, **more)


def printed():
    """Every table of a few evaluations."""
    region, grid = origin("region", 0, 7), origin("grid", 1, 9)
    other = origin("region", 2, 11)
    crossing = origin("grid", 3, 4, "f30k")
    members = [
        Member("a.safetensors", region, 0.25, results(61.04)),
        Member("b.safetensors", grid, 0.75, results(64.56)),
    ]
    half = [
        Member("c.safetensors", other, 0.5, results(58.77)),
        Member("d.safetensors", crossing, 0.5, results(41.33)),
    ]
    versions = [
        Member(f"{name}.pth", origin("region", 0, 5, model=f"CMSEI {name}",
                                     whole=Whole("CMSEI", name, ("I-T", "T-I"))), 0.5, found)
        for name, found in (("I-T", results(52.9)), ("T-I", results(54.4)))
    ]  # fmt: skip
    about = ("coco", "testall")
    yield format_table(region, *about, results(61.04))
    yield format_table(crossing, *about, results(41.33))
    for several, mean in ((members, 70.3), (half, 60.07), (versions, 57.21)):
        yield format_ensemble(several, *about, results(mean))
    records = [
        single_record(region, *about, results(61.04)),
        single_record(other, *about, results(58.77)),
        single_record(crossing, *about, results(41.33)),
        Record(*about, members, results(70.3)),
        Record(*about, half, results(60.07)),
        Record(*about, versions, results(57.21)),
    ]
    tables, notes = compare(records)
    assert not notes
    yield from map(to_markdown, tables)
    yield from map(to_latex, tables)
    yield to_csv(tables)


def test_every_cell_is_in_its_place():
    found = ("\n\n".join(printed()) + "\n").splitlines()
    for number, (line, expected) in enumerate(
        zip(found, PRINTED.read_text(encoding="utf-8").splitlines(), strict=True), 1
    ):
        assert line == expected, f"line {number}"


@pytest.mark.parametrize("start", [0.07, 41.3, 85.7])
def test_rsum_is_the_sum_of_the_recalls(start):
    found = metrics(start)
    recalls = [r for side in (found.i2t, found.t2i) for r in (side.r1, side.r5, side.r10)]
    assert found.rsum == pytest.approx(sum(recalls), abs=1e-9)
    assert found.i2t.average == pytest.approx(sum(recalls[:3]) / 3)


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


def test_published_rows_name_single_models_and_ensembles():
    kinds = {(row.model, row.features, row.models) for row in all_rows()}
    assert kinds == {
        ("3SHNet", "region", "single"), ("3SHNet", None, None), ("CMSEI", "region", "ensemble"),
        ("VSE-infinity", "region", "single"), ("CMSEI I-T", "region", "single"),
        ("CMSEI T-I", "region", "single"),
    }  # fmt: skip


if __name__ == "__main__":
    print("\n\n".join(printed()))
