"""Tables of results, with the published row beside them where there is one."""

from dataclasses import asdict, dataclass
from typing import Any

from lib.evaluation.metrics import RetrievalMetrics
from lib.evaluation.protocols import ProtocolResult


@dataclass(frozen=True)
class PublishedRow:
    """Published figures in percent; None where the source gives none."""

    name: str
    i2t: tuple[float | None, float | None, float | None]
    t2i: tuple[float | None, float | None, float | None]
    rsum: float | None
    source: str


NONE = (None, None, None)
# (model, dataset, images per gallery) -> row.
PUBLISHED = {
    ("3SHNet", "coco", 1000): PublishedRow(
        "3SHNet, published", (83.6, 97.4, 99.2), (68.7, 92.6, 96.6), 538.0, "authors' re-run"
    ),
    ("3SHNet", "coco", 5000): PublishedRow(
        "3SHNet, best reported", NONE, (50.3, None, None), None, "public listing of the paper"
    ),
    ("3SHNet", "f30k", 1000): PublishedRow(
        "3SHNet, best reported",
        (87.1, None, None),
        (69.5, None, None),
        None,
        "public listing of the paper",
    ),
    ("VSE-infinity", "coco", 1000): PublishedRow(
        "VSE-infinity, published",
        (79.7, 96.4, 98.9),
        (64.8, 91.4, 96.3),
        527.5,
        "CMSEI, Table 1",
    ),
    ("VSE-infinity", "coco", 5000): PublishedRow(
        "VSE-infinity, published",
        (58.3, 85.3, 92.3),
        (42.4, 72.7, 83.2),
        434.3,
        "CMSEI, Table 1",
    ),
    ("VSE-infinity", "f30k", 1000): PublishedRow(
        "VSE-infinity, published",
        (81.7, 95.4, 97.6),
        (61.4, 85.9, 91.5),
        513.5,
        "CMSEI, Table 2",
    ),
}
SPLITS = {"coco": "testall", "f30k": "test"}  # what the published rows are of
HEADER = (
    f"{'':<28} {'---- image to text ----':^23}  {'---- text to image ----':^23}\n"
    f"{'':<28} {'R@1':>5} {'R@5':>5} {'R@10':>5} {'mean':>5}  {'R@1':>5} {'R@5':>5} {'R@10':>5}"
    f" {'mean':>5}  {'rSum':>6}  {'median rank':>11}  {'mean rank':>13}"
)


def published_row(
    model: str, dataset: str, split: str, result: ProtocolResult
) -> PublishedRow | None:
    """The published figures of the same model family, dataset, split and gallery size."""
    if SPLITS.get(dataset) != split:
        return None
    return PUBLISHED.get((model, dataset, result.images))


def _cells(values: tuple[float | None, ...]) -> str:
    return " ".join(f"{'-':>5}" if v is None else f"{v:5.1f}" for v in values)


def _metrics_line(label: str, metrics: RetrievalMetrics) -> str:
    i2t, t2i = metrics.i2t, metrics.t2i
    return (
        f"{label:<28} {_cells((i2t.r1, i2t.r5, i2t.r10, i2t.average))}  "
        f"{_cells((t2i.r1, t2i.r5, t2i.r10, t2i.average))}  {metrics.rsum:6.1f}  "
        f"{i2t.median_rank:5.0f} {t2i.median_rank:5.0f}  {i2t.mean_rank:6.1f} {t2i.mean_rank:6.1f}"
    )


def _published_line(row: PublishedRow) -> str:
    rsum = f"{'-':>6}" if row.rsum is None else f"{row.rsum:6.1f}"
    cells = f"{_cells((*row.i2t, None))}  {_cells((*row.t2i, None))}"
    return f"{row.name:<28} {cells}  {rsum}  ({row.source})"


def format_table(model: str, dataset: str, split: str, results: list[ProtocolResult]) -> str:
    """A plain-text table: each protocol's folds, its figures, and the published row if any.

    "mean" is the average of the three recalls; the ranks are i2t then t2i, counted from 1.
    """
    lines = [HEADER]
    for result in results:
        lines += [_metrics_line(f"  fold {i}", fold) for i, fold in enumerate(result.folds, 1)]
        lines.append(_metrics_line(result.name, result.metrics))
        row = published_row(model, dataset, split, result)
        lines += [] if row is None else [_published_line(row)]
    return "\n".join(lines)


def results_as_dict(results: list[ProtocolResult]) -> list[dict[str, Any]]:
    """The same figures as plain data, for JSON."""
    return [
        {
            "protocol": result.name,
            "images": result.images,
            "rsum": result.metrics.rsum,
            **asdict(result.metrics),
            "folds": [{"rsum": fold.rsum, **asdict(fold)} for fold in result.folds],
        }
        for result in results
    ]
