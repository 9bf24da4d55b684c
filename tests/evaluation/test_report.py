"""What is printed, cell by cell: every figure is another one, so that none can take a neighbour's
place. ``python -m tests.evaluation.test_report`` prints the file that is compared with."""

import pytest

from lib.evaluation.metrics import DirectionMetrics, RetrievalMetrics
from lib.evaluation.protocols import ProtocolResult
from lib.evaluation.records import Member, Origin, Record, single_record
from lib.evaluation.report import format_ensemble, format_table
from lib.evaluation.results_table import compare
from lib.evaluation.table_formats import to_csv, to_latex, to_markdown, to_paper, to_text
from lib.models.family import Whole
from tests.support import GOLDEN

PRINTED = GOLDEN / "printed_tables.txt"


def metrics(start):
    i2t = DirectionMetrics(start, 1.02 * start + 7.5, 1.05 * start + 12.13, start // 10, start / 7)
    t2i = DirectionMetrics(
        start - 3.2, 1.04 * start + 9.9, 1.07 * start + 14.26, start // 9 + 1, start / 3
    )
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
    for form in (to_text, to_markdown, to_latex, to_paper):
        yield from map(form, tables)
    yield to_csv(tables)


def test_every_cell_is_in_its_place():
    found = ("\n\n".join(printed()) + "\n").splitlines()
    for number, (line, expected) in enumerate(
        zip(found, PRINTED.read_text(encoding="utf-8").splitlines(), strict=True), 1
    ):
        assert line == expected, f"line {number}"


def test_tables_fit_100_columns():
    texts = [text for text in printed() if "image to text -" in text]
    assert len(texts) == 5 + 2  # of evaluations, and of both protocols of all
    assert max(len(line) for text in texts for line in text.splitlines()) <= 100


def test_few_pictures_are_worth_a_warning():
    few = [ProtocolResult("test, 24 images", 24, metrics(30))]
    told = "R@K of 24 pictures means little: chance alone gives a text-to-image R@10 of 42"
    table = format_table(origin("region", 0, 7), "mine", "test", few)
    assert table.splitlines()[-1] == told
    record = single_record(origin("region", 0, 7), "mine", "test", few)
    (table,), _ = compare([record])
    assert to_text(table).splitlines()[-1] == told
    assert to_markdown(table).splitlines()[-1] == told
    assert "means little" not in format_table(origin("region", 0, 7), "coco", "testall", results(9))


def test_a_paper_s_table():
    records = [single_record(origin("region", seed, 7, "f30k"), "f30k", "test",
                             [ProtocolResult("test, 1,000 images", 1000, metrics(60 + seed))])
               for seed in (0, 2)]  # fmt: skip
    (table,), _ = compare(records)
    lines = to_paper(table).splitlines()
    (ours,) = (line for line in lines if line.startswith("3SHNet & region"))
    assert ours.startswith(r"3SHNet & region & 61.0 {\scriptsize$\pm$1.4} & 69.7 {")
    published = next(line for line in lines if line.startswith("CMSEI, published (ensemble)"))
    assert r"\textbf{521.3}" in published  # the best of all that tell it
    assert "seed" not in "".join(lines[1:])
    assert [line for line in lines if "rule" in line and "cmid" not in line] == [
        r"\toprule", r"\midrule", r"\midrule", r"\bottomrule",
    ]  # fmt: skip


@pytest.mark.parametrize("start", [0.07, 41.3, 85.7])
def test_rsum_is_the_sum_of_the_recalls(start):
    found = metrics(start)
    recalls = [r for side in (found.i2t, found.t2i) for r in (side.r1, side.r5, side.r10)]
    assert found.rsum == pytest.approx(sum(recalls), abs=1e-9)
    assert found.i2t.average == pytest.approx(sum(recalls[:3]) / 3)


if __name__ == "__main__":
    print("\n\n".join(printed()))
