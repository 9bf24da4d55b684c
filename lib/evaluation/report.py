"""Plain-text tables of results, with the published row beside them where there is one."""

from collections.abc import Sequence

from lib.evaluation.ensemble import ensemble_features, ensemble_model, is_hybrid
from lib.evaluation.metrics import RetrievalMetrics
from lib.evaluation.published import PublishedRow, comparable_rows
from lib.evaluation.records import UNKNOWN, Member, Origin, Results

HEADER = (
    f"{'':<34} {'---- image to text ----':^23}  {'---- text to image ----':^23}\n"
    f"{'':<34} {'R@1':>5} {'R@5':>5} {'R@10':>5} {'mean':>5}  {'R@1':>5} {'R@5':>5} {'R@10':>5}"
    f" {'mean':>5}  {'rSum':>6}  {'median rank':>11}  {'mean rank':>13}"
)


def _cells(values: Sequence[float | None], sign: str = "") -> str:
    return " ".join(f"{'-':>5}" if v is None else f"{v:{sign}5.1f}" for v in values)


def _recalls(metrics: RetrievalMetrics) -> list[float]:
    sides = (metrics.i2t, metrics.t2i)
    return [value for side in sides for value in (side.r1, side.r5, side.r10, side.average)]


def _metrics_line(label: str, metrics: RetrievalMetrics) -> str:
    i2t, t2i, values = metrics.i2t, metrics.t2i, _recalls(metrics)
    return (
        f"{label:<34} {_cells(values[:4])}  {_cells(values[4:])}  {metrics.rsum:6.1f}  "
        f"{i2t.median_rank:5.0f} {t2i.median_rank:5.0f}  {i2t.mean_rank:6.1f} {t2i.mean_rank:6.1f}"
    )


def _gain_line(metrics: RetrievalMetrics, best: RetrievalMetrics) -> str:
    gains = [a - b for a, b in zip(_recalls(metrics), _recalls(best), strict=True)]
    cells, rsum = f"{_cells(gains[:4], '+')}  {_cells(gains[4:], '+')}", metrics.rsum - best.rsum
    return f"{'  gain over the best member':<34} {cells}  {rsum:+6.1f}"


def _published_line(row: PublishedRow) -> str:
    rsum = f"{'-':>6}" if row.rsum is None else f"{row.rsum:6.1f}"
    cells = f"{_cells((*row.i2t, None))}  {_cells((*row.t2i, None))}"
    return f"{row.title:<34} {cells}  {rsum}  ({row.source})"


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
    """A single model's table: each protocol's folds, its figures, and the published row if any;
    "mean" is the average of the three recalls, the ranks are i2t then t2i, counted from 1."""
    lines = [HEADER]
    for result in results:
        lines += [_metrics_line(f"  fold {i}", fold) for i, fold in enumerate(result.folds, 1)]
        lines.append(_metrics_line(result.name, result.metrics))
        if origin.source == dataset:
            who = (origin.model, origin.features, "single")
            rows = comparable_rows(*who, dataset, split, result.images)
            lines += [_published_line(row) for row in rows]
    return "\n".join(lines)


def format_ensemble(members: list[Member], dataset: str, split: str, results: Results) -> str:
    """An ensemble's table: per protocol each member, the ensemble, and its gain."""
    origins = [member.origin for member in members]
    features, model = ensemble_features(origins), ensemble_model(origins)
    crossing = transfer(origins, dataset)
    lines = [crossing] if crossing else []
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
            lines.append(_metrics_line(f"  {number}: {origin.title}"[:34], metrics))
        lines.append(_metrics_line(f"  {name} of {len(members)}", result.metrics))
        lines.append(_gain_line(result.metrics, max(own, key=lambda metrics: metrics.rsum)))
        if not crossing:
            rows = comparable_rows(model, features, "ensemble", dataset, split, result.images)
            lines += [_published_line(row) for row in rows]
    return "\n".join(lines)
