"""Plain-text tables of results, with the published row beside them where there is one."""

from collections.abc import Sequence

from lib.evaluation.ensemble import ensemble_features, ensemble_model, is_hybrid
from lib.evaluation.intervals import Interval
from lib.evaluation.metrics import RetrievalMetrics
from lib.evaluation.perturbations import MEANINGS
from lib.evaluation.protocols import ProtocolResult
from lib.evaluation.published import PublishedRow, comparable_rows
from lib.evaluation.records import UNKNOWN, ZERO_SHOT, Member, Origin, Results

LABEL = 30  # columns of a row's name
RECALLS = ("R@1", "R@5", "R@10", "MedR", "MeanR")
PRECISIONS = ("mAP@R", "R-P", "R@1", "R@5", "R@10")
WAYS = ("image to text", "text to image")
FEW = 100  # pictures, below which R@K says little


def _cells(values: Sequence[float | None], sign: str = "") -> str:
    return " ".join(f"{'-':>5}" if v is None else f"{v:{sign}5.1f}" for v in values)


def _line(label: str, i2t: str, t2i: str, rsum: str) -> str:
    if len(label) > LABEL and ", " in label:  # as in "testall, mean of 5 folds of 1,000"
        label = label.split(", ", 1)[1]
    return f"{label:<{LABEL}}  {i2t:<29}  {t2i:<29}  {rsum:>6}".rstrip()


def _recalls(metrics: RetrievalMetrics) -> list[tuple[float, float, float]]:
    return [(side.r1, side.r5, side.r10) for side in (metrics.i2t, metrics.t2i)]


def _header(result: ProtocolResult) -> str:
    """The two lines above results like this one."""
    ways = ("image to image", "text to text") if result.benchmark == "cxc_intra" else WAYS
    names, last = (RECALLS, "rSum") if result.precision is None else (PRECISIONS, "")
    columns = f"  {' '.join(f'{name:>5}' for name in names)}" * 2
    above = "".join(f"  {f' {way} ':-^29}" for way in ways)
    return f"{'':<{LABEL}}{above}\n{'':<{LABEL}}{columns}  {last:>6}".rstrip()


def _metrics_line(label: str, metrics: RetrievalMetrics) -> str:
    i2t, t2i = (
        f"{_cells((s.r1, s.r5, s.r10))} {s.median_rank:5.0f} {_rank(s.mean_rank)}"
        for s in (metrics.i2t, metrics.t2i)
    )
    return _line(label, i2t, t2i, f"{metrics.rsum:.1f}")


def _result_line(label: str, result: ProtocolResult) -> str:
    if (found := result.precision) is None:
        return _metrics_line(label, result.metrics)
    sides = _recalls(result.metrics)
    i2t = _cells((found.i2t_map_at_r, found.i2t_r_precision, *sides[0]))
    t2i = _cells((found.t2i_map_at_r, found.t2i_r_precision, *sides[1]))
    return _line(label, i2t, t2i, "")


def _interval_lines(interval: Interval | None) -> list[str]:
    """Where a bootstrap's interval begins and ends."""
    if interval is None:
        return []
    named = (("from", interval.low), ("to", interval.high))
    return [
        _line(
            f"  {interval.level:g}% interval, {word}", _cells(v[:3]), _cells(v[3:6]), f"{v[6]:.1f}"
        )
        for word, v in named
    ]


def _rank(value: float) -> str:
    return f"{value:5.1f}" if value < 999.95 else f"{value:5.0f}"


def _gain_line(
    metrics: RetrievalMetrics, best: RetrievalMetrics, label: str = "  gain over the best member"
) -> str:
    i2t, t2i = (
        _cells([a - b for a, b in zip(*sides, strict=True)], "+")
        for sides in zip(_recalls(metrics), _recalls(best), strict=True)
    )
    return _line(label, i2t, t2i, f"{metrics.rsum - best.rsum:+.1f}")


def _drop_line(result: ProtocolResult, results: Results) -> str:
    """What changed captions or pictures cost."""
    unchanged = next(r for r in results if r.name == result.name.partition("; ")[0])
    return _gain_line(result.metrics, unchanged.metrics, "  change")


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
    if sources == [ZERO_SHOT]:
        return f"zero-shot: published weights, scored on {dataset} as they are"
    unnamed = "a dataset that its file does not tell"
    trained = [source for source in sources if source != ZERO_SHOT]
    named = ", ".join(unnamed if source == UNKNOWN else source for source in trained)
    if trained != sources:
        return f"partly zero-shot: trained on {named}, and published weights, scored on {dataset}"
    if dataset in sources:
        return f"partly cross-dataset: trained on {named}, scored on {dataset}"
    mark = "cross-dataset" if UNKNOWN not in sources else "perhaps cross-dataset"
    return f"{mark}: trained on {named}, scored on {dataset} without tuning"


def format_table(origin: Origin, dataset: str, split: str, results: Results) -> str:
    """A single model's table, at most 100 columns wide: each protocol's folds, its figures, and the
    published row if any; MedR and MeanR are the median and mean rank, counted from 1."""
    lines: list[str] = []
    notes: list[str] = []
    shown = ""
    for result in results:
        shown = _begin(lines, result, shown)
        lines += [_metrics_line(f"  fold {i}", fold) for i, fold in enumerate(result.folds, 1)]
        lines.append(_result_line(result.name.partition("; ")[0], result))
        lines += _interval_lines(result.interval)
        if result.benchmark in MEANINGS:
            lines.append(_drop_line(result, results))
        if origin.source == dataset and result.benchmark is None:
            who = (origin.model, origin.features, "single")
            rows, sources = _published(comparable_rows(*who, dataset, split, result.images))
            lines += rows
            notes += sources
    return "\n".join([*lines, *_notes(notes, results)])


def _begin(lines: list[str], result: ProtocolResult, shown: str) -> str:
    """Add what stands above ``result``: what was changed, and the names of the columns, unless
    ``shown``, which stands already, says the same. What stands now."""
    meaning = MEANINGS.get(result.benchmark or "", "")
    head = meaning + _header(result)
    if head != shown:
        lines += [meaning, _header(result)] if meaning else [_header(result)]
    return head


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
    name = "hybrid" if is_hybrid(origins) else "ensemble"
    shown = ""
    for index, result in enumerate(results):
        shown = _begin(lines, result, shown)
        lines.append(result.name)
        own = [member.results[index] for member in members]
        for number, (origin, one) in enumerate(zip(origins, own, strict=True), 1):
            lines.append(_result_line(f"  {number}: {origin.title}"[:LABEL], one))
        lines.append(_result_line(f"  {name} of {len(members)}", result))
        lines += _interval_lines(result.interval)
        if result.precision is None:
            best = max((one.metrics for one in own), key=lambda metrics: metrics.rsum)
            lines.append(_gain_line(result.metrics, best))
        if not crossing and result.benchmark is None:
            who = (model, features, "ensemble")
            rows, sources = _published(comparable_rows(*who, dataset, split, result.images))
            lines += rows
            notes += sources
    return "\n".join([*lines, *_notes(notes, results)])
