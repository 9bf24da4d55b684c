"""Published figures, each with its source, for tables that set ours beside them."""

from dataclasses import dataclass

Recalls = tuple[float | None, float | None, float | None]  # R@1, R@5, R@10 in percent
NONE: Recalls = (None, None, None)
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
        """As in "3SHNet, best reported"."""
        return f"{self.model}, {'published' if self.models else 'best reported'}"


LISTING = "public listing of the paper"
ROWS = (
    PublishedRow(
        "3SHNet", "region", "single", "coco", 1000,
        (83.6, 97.4, 99.2), (68.7, 92.6, 96.6), 538.0, "authors' re-run",
    ),
    PublishedRow("3SHNet", None, None, "coco", 5000, NONE, (50.3, None, None), None, LISTING),
    PublishedRow(
        "3SHNet", None, None, "f30k", 1000,
        (87.1, None, None), (69.5, None, None), None, LISTING,
    ),
    PublishedRow(
        "VSE-infinity", "region", "single", "coco", 1000,
        (79.7, 96.4, 98.9), (64.8, 91.4, 96.3), 527.5, "CMSEI, Table 1",
    ),
    PublishedRow(
        "VSE-infinity", "region", "single", "coco", 5000,
        (58.3, 85.3, 92.3), (42.4, 72.7, 83.2), 434.3, "CMSEI, Table 1",
    ),
    PublishedRow(
        "VSE-infinity", "region", "single", "f30k", 1000,
        (81.7, 95.4, 97.6), (61.4, 85.9, 91.5), 513.5, "CMSEI, Table 2",
    ),
    *(
        PublishedRow(f"CMSEI {version}", "region", "single", *figures, None, "CMSEI, Table 3")
        for version, *figures in (
            ("I-T", "coco", 1000, (78.7, 95.9, 98.3), (62.5, 90.5, 96.1)),
            ("T-I", "coco", 1000, (78.7, 96.2, 98.8), (63.6, 90.9, 96.2)),
            ("I-T", "f30k", 1000, (78.0, 95.2, 98.0), (59.5, 84.2, 91.1)),
            ("T-I", "f30k", 1000, (79.0, 94.6, 97.9), (60.4, 85.5, 90.5)),
        )
    ),
    PublishedRow(
        "CMSEI", "region", "ensemble", "coco", 1000,
        (81.4, 96.6, 98.8), (65.8, 91.8, 96.8), 531.1, "CMSEI, Table 1",
    ),
    PublishedRow(
        "CMSEI", "region", "ensemble", "coco", 5000,
        (61.5, 86.3, 92.7), (44.0, 73.4, 83.4), 441.2, "CMSEI, Table 1",
    ),
    PublishedRow(
        "CMSEI", "region", "ensemble", "f30k", 1000,
        (82.3, 96.4, 98.6), (64.1, 87.3, 92.6), 521.3, "CMSEI, Table 2",
    ),
)  # fmt: skip


def published_rows(dataset: str, split: str, images: int) -> list[PublishedRow]:
    """All rows of a dataset's split and gallery size."""
    if SPLITS.get(dataset) != split:
        return []
    return [row for row in ROWS if (row.dataset, row.images) == (dataset, images)]


def comparable_rows(
    model: str, features: str, models: str, dataset: str, split: str, images: int
) -> list[PublishedRow]:
    """The rows of one model with the same features, single or ensemble; unstated ones included."""
    return [
        row
        for row in published_rows(dataset, split, images)
        if row.model == model and row.features in (None, features) and row.models in (None, models)
    ]
