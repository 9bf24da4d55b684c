"""Published figures, each with its source, for tables that set ours beside them.

The rows are in ``published.csv``; an empty cell is what the source does not say. The five folds of
the authors' re-run on COCO are in ``published_folds.csv``, from a picture of their log in the
authors' repository."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

Recalls = tuple[float | None, ...]  # R@1, R@5, R@10 in percent
SPLITS = {"coco": "testall", "f30k": "test"}  # what the rows are of


@dataclass(frozen=True)
class PublishedRow:
    """One published row; None where its source does not say."""

    model: str
    features: str | None  # region, grid, region + grid
    models: str | None  # single or ensemble
    dataset: str
    images: int  # per gallery: coco 1000 is the mean of five folds
    i2t: Recalls
    t2i: Recalls
    rsum: float | None
    source: str

    @property
    def title(self) -> str:
        """As in "VSE-infinity, published"."""
        return f"{self.model}, {'published' if self.models else 'best reported'}"


@cache
def all_rows() -> list[PublishedRow]:
    """Every published row, in the file's order."""
    rows = []
    lines = Path(__file__).with_suffix(".csv").read_text(encoding="utf-8").splitlines()[1:]
    for model, features, models, dataset, images, *cells, source in csv.reader(lines):
        figures = tuple(float(cell) if cell else None for cell in cells)
        about = (model, features or None, models or None, dataset, int(images))
        rows.append(PublishedRow(*about, figures[:3], figures[3:6], figures[6], source))
    return rows


@cache
def released_folds() -> list[tuple[Recalls, Recalls]]:
    """i2t and t2i recalls of each of the five folds of COCO 1K, by the authors' re-run of their
    released region model."""
    lines = Path(__file__).with_name("published_folds.csv").read_text(encoding="utf-8")
    rows = [tuple(map(float, row[1:])) for row in list(csv.reader(lines.splitlines()))[1:]]
    return [(row[:3], row[3:]) for row in rows]


def published_rows(dataset: str, split: str, images: int) -> list[PublishedRow]:
    """All rows of a dataset's split and gallery size."""
    if SPLITS.get(dataset) != split:
        return []
    return [row for row in all_rows() if (row.dataset, row.images) == (dataset, images)]


def comparable_rows(
    model: str, features: str, models: str, dataset: str, split: str, images: int
) -> list[PublishedRow]:
    """The rows of one model with the same features, single or ensemble; unstated ones included."""
    return [
        row
        for row in published_rows(dataset, split, images)
        if row.model == model and row.features in (None, features) and row.models in (None, models)
    ]
