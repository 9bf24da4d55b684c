"""Plain-text tables of results, with the published row beside them where there is one."""

from collections.abc import Sequence

from lib.evaluation.ensemble import ensemble_features, ensemble_model, is_hybrid
from lib.evaluation.metrics import RetrievalMetrics
from lib.evaluation.published import PublishedRow, comparable_rows
from lib.evaluation.records import UNKNOWN, Member, Origin, Results

LABEL = 30  # columns of a row's name
HEADER = (
    f"{'':<{LABEL}}  {' image to text ':-^29}  {' text to image ':-^29}\n"
    f"{'':<{LABEL}}"
    + f"  {'R@1':>5} {'R@5':>5} {'R@10':>5} {'MedR':>5} {'MeanR':>5}" * 2
    + f"  {'rSum':>6}"
)
FEW = 100  # pictures, below which R@K says little


def _cells(values: Sequence[float | None], sign: str = "") -> str:
    return " ".join(f"{'-':>5}" if v is None else f"{v:{sign}5.1f}" for v in values)


def _line(label: str, i2t: str, t2i: str, rsum: str) -> str:
    if len(label) > LABEL and ", " in label:  # as in "testall, mean of 5 folds of 1,000"
        label = label.split(", ", 1)[1]
    return f"{label:<{LABEL}}  {i2t:<29}  {t2i:<29}  {rsum:>6}"


def _recalls(metrics: RetrievalMetrics) -> list[tuple[float, float, float]]:
    return [(side.r1, side.r5, side.r10) for side in (metrics.i2t, metrics.t2i)]


def _metrics_line(label: str, metrics: RetrievalMetrics) -> str:
    i2t, t2i = (
        f"{_cells((s.r1, s.r5, s.r10))} {s.median_rank:5.0f} {_rank(s.mean_rank)}"
        for s in (metrics.i2t, metrics.t2i)
    )
    return _line(label, i2t, t2i, f"{metrics.rsum:.1f}")


def _rank(value: float) -> str:
    return f"{value:5.1f}" if value < 999.95 else f"{value:5.0f}"


def _gain_line(metrics: RetrievalMetrics, best: RetrievalMetrics) -> str:
    i2t, t2i = (
        _cells([a - b for a, b in zip(*sides, strict=True)], "+")
        for sides in zip(_recalls(metrics), _recalls(best), strict=True)
    )
    gain = f"{metrics.rsum - best.rsum:+.1f}"
    return _line("  gain over the best member", i2t, t2i, gain)


def _published(rows: Sequence[PublishedRow]) -> tuple[list[str], list[str]]:
    """The lines of published rows, and below them where they are from."""
    lines, sources = [], []
    for row in rows:
        rsum = "-" if row.rsum is None else f"{row.rsum:.1f}"
        lines.append(_line(row.title, _cells(row.i2t), _cells(row.t2i), rsum))
        sources.append(f"{row.title}: {row.source}")
    return lines, sources


def few_pictures(images: int) -> str:
    """What R@K of a small gallery is worth; an empty text where there are enough pictures."""
    if images >= FEW:
        return ""
    chance = 100 * min(1.0, 10 / images)
    return (
        f"R@K of {images} picture{'s' * (images != 1)} means little: "
        f"chance alone gives a text-to-image R@10 of {chance:.0f}"
    )


def transfer(origins: Sequence[Origin], dataset: str) -> str:
    """What the models were trained on, unless all were on ``dataset``: then an empty text."""
    sources = list(dict.fromkeys(origin.source for origin in origins))
    if sources == [dataset]:
        return ""
    unnamed = "a dataset that its file does not tell"
    named = ", ".join(unnamed if source == UNKNOWN else source for source in sources)
    if dataset in sources:
        return f"partly cross-dataset: trained on {named}, scored on {dataset}"
    mark = "cross-dataset" if UNKNOWN not in sources else "perhaps cross-dataset"
    return f"{mark}: trained on {named}, scored on {dataset} without tuning"


def format_table(origin: Origin, dataset: str, split: str, results: Results) -> str:
    """A single model's table, at most 100 columns wide: each protocol's folds, its figures, and the
    published row if any; MedR and MeanR are the median and mean rank, counted from 1."""
    lines, notes = [HEADER], []
    for result in results:
        lines += [_metrics_line(f"  fold {i}", fold) for i, fold in enumerate(result.folds, 1)]
        lines.append(_metrics_line(result.name, result.metrics))
        if origin.source == dataset:
            who = (origin.model, origin.features, "single")
            rows, sources = _published(comparable_rows(*who, dataset, split, result.images))
            lines += rows
            notes += sources
    return "\n".join([*lines, *_notes(notes, results)])


def _notes(sources: list[str], results: Results) -> list[str]:
    few = few_pictures(min(result.images for result in results))
    return [*dict.fromkeys(sources), *([few] if few else [])]


def format_ensemble(members: list[Member], dataset: str, split: str, results: Results) -> str:
    """An ensemble's table: per protocol each member, the ensemble, and its gain."""
    origins = [member.origin for member in members]
    features, model = ensemble_features(origins), ensemble_model(origins)
    crossing = transfer(origins, dataset)
    lines, notes = [crossing] if crossing else [], []
    for number, member in enumerate(members, 1):
        source = member.origin.source
        about = member.origin.title + ("" if source == UNKNOWN else f", trained on {source}")
        lines.append(f"member {number}, weight {member.weight:.3g}: {member.name} ({about})")
    lines.append(HEADER)
    name = "hybrid" if is_hybrid(origins) else "ensemble"
    for index, result in enumerate(results):
        lines.append(result.name)
        own = [member.results[index].metrics for member in members]
        for number, (origin, metrics) in enumerate(zip(origins, own, strict=True), 1):
            lines.append(_metrics_line(f"  {number}: {origin.title}"[:LABEL], metrics))
        lines.append(_metrics_line(f"  {name} of {len(members)}", result.metrics))
        lines.append(_gain_line(result.metrics, max(own, key=lambda metrics: metrics.rsum)))
        if not crossing:
            who = (model, features, "ensemble")
            rows, sources = _published(comparable_rows(*who, dataset, split, result.images))
            lines += rows
            notes += sources
    return "\n".join([*lines, *_notes(notes, results)])
