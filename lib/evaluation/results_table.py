"""Tables of many runs: rows averaged over seeds, published rows beneath, in three formats."""

import csv
import io
import json
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib.evaluation.ensemble import ensemble_features, ensemble_model
from lib.evaluation.metrics import RetrievalMetrics
from lib.evaluation.published import PublishedRow, published_rows
from lib.evaluation.records import Origin, Record, single_record

FIGURES = ("i2t R@1", "i2t R@5", "i2t R@10", "t2i R@1", "t2i R@5", "t2i R@10", "rSum")
COLUMNS = ("setting", "features", "models", "trained on", "seeds", "epoch", *FIGURES, "source")
# Settings that tell where and how a run was done; rows that differ in these alone are one.
NO_SETTING = ("run.", "eval.", "data.root", "data.workers", "data.dataset", "features.type")


@dataclass(frozen=True)
class Spread:
    """A figure over seeds, percent; ``sd`` is the sample's, None for a single one."""

    mean: float | None
    sd: float | None = None


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    setting: str
    features: str
    models: str  # "single" or "ensemble of 2"
    trained_on: str
    seeds: str
    epoch: str  # chosen on dev, from 0
    figures: tuple[Spread, ...]  # as FIGURES
    source: str = "ours"

    def cells(self, spread: Callable[[Spread], str]) -> list[str]:
        """As COLUMNS."""
        names = [self.setting, self.features, self.models, self.trained_on, self.seeds, self.epoch]
        return [*names, *map(spread, self.figures), self.source]


@dataclass
class Table:
    """The rows of one dataset, split and protocol."""

    title: str
    rows: list[Row] = field(default_factory=list)
    published: list[Row] = field(default_factory=list)


def compare(records: Iterable[Record]) -> tuple[list[Table], list[str]]:
    """One table per protocol.

    Runs that differ in nothing but their seed become one row of means; single models and
    ensembles never share one. An ensemble's members are runs of their own, where they have no
    record of their own.

    Returns:
        The tables, and notes on records that contradict each other.
    """
    runs, notes = _distinct(list(records))
    names = _Names(runs)
    groups: dict[str, list[Record]] = {}
    for run in runs:
        groups.setdefault(_all_but_seed(run), []).append(run)
    tables: dict[tuple[str, str, str], Table] = {}
    for group in groups.values():
        seeds = [tuple(origin.seed for origin in run.origins) for run in group]
        repeated = len(set(seeds)) < len(seeds)  # then each run is a row, told by its folder
        for members in [[run] for run in group] if repeated else [group]:
            dataset, split = members[0].dataset, members[0].split
            for index, result in enumerate(members[0].results):
                key = (dataset, split, result.name)
                if key not in tables:
                    rows = published_rows(dataset, split, result.images)
                    title = f"{dataset} {result.name}"
                    tables[key] = Table(title, published=[_published(row) for row in rows])
                metrics = [run.results[index].metrics for run in members]
                tables[key].rows.append(_row(members, metrics, names, told_apart=repeated))
    for table in tables.values():
        table.rows.sort(key=lambda row: (row.models != "single", row.models))
    return list(tables.values()), notes


def _distinct(records: list[Record]) -> tuple[list[Record], list[str]]:
    """Every run once; prefer a run's own record to an ensemble's that it is a member of."""
    runs: dict[str, Record] = {}
    for record in records:
        weights = [member.weight for member in record.members]
        epochs = [origin.epoch for origin in record.origins]
        runs.setdefault(json.dumps([_trainings(record), epochs, weights]), record)
    own: dict[str, list[Record]] = {}
    for run in runs.values():
        if len(run.members) == 1:
            own.setdefault(json.dumps(_trainings(run)), []).append(run)
    notes = []
    for record in records:
        for member in record.members if len(record.members) > 1 else ():
            alone = single_record(member.origin, record.dataset, record.split, member.results)
            known = own.setdefault(json.dumps(_trainings(alone)), [])
            if not known:
                known.append(alone)
                runs[f"member {len(runs)}"] = alone
            sums = [[round(r.metrics.rsum, 2) for r in run.results] for run in (*known, alone)]
            if sums[-1] not in sums[:-1]:
                notes.append(
                    f"an ensemble on {record.dataset} holds other figures of "
                    f"{member.origin.checkpoint} than its own results; evaluate the ensemble again"
                )
    return list(runs.values()), list(dict.fromkeys(notes))


def _trainings(run: Record) -> list[str]:
    """What a run is a function of, wherever its checkpoint lies; a released file, which tells none
    of it, is known by its name and features."""
    trainings = [
        json.dumps(origin.config, sort_keys=True)
        if origin.config is not None
        else f"{origin.checkpoint} {origin.features}"
        for origin in run.origins
    ]
    return [run.dataset, run.split, *trainings]


def _settings(origin: Origin) -> dict[str, Any]:
    flat = {f"{s}.{k}": v for s, values in (origin.config or {}).items() for k, v in values.items()}
    return {k: v for k, v in flat.items() if not k.startswith(NO_SETTING)}


def _all_but_seed(run: Record) -> str:
    """What runs share that become one row."""
    members = [
        json.dumps([o.model, o.features, o.source, weight, told], sort_keys=True)
        for o, weight, told in (
            (
                m.origin,
                round(m.weight, 6),
                m.origin.checkpoint if m.origin.config is None else _settings(m.origin),
            )
            for m in run.members
        )
    ]
    protocols = [(result.name, result.images) for result in run.results]
    return json.dumps([run.dataset, run.split, protocols, len(members), sorted(members)])


class _Names:
    """How rows name their settings: the model's title, and the settings in which runs differ."""

    def __init__(self, runs: list[Record]):
        self._seen: dict[tuple[str, str, str], dict[str, set[str]]] = {}
        for origin in (o for run in runs for o in run.origins if o.config is not None):
            seen = self._seen.setdefault((origin.model, origin.features, origin.source), {})
            for key, value in _settings(origin).items():
                seen.setdefault(key, set()).add(_as_typed(value))

    def of(self, origin: Origin) -> str:
        """As in "VSE-infinity (train.lr=0.001)"."""
        if origin.config is None:  # it tells no recipe, so it is a setting of its own
            return f"{origin.model} ({origin.checkpoint})"
        seen = self._seen[origin.model, origin.features, origin.source]
        differing = [
            f"{key}={_as_typed(value)}"
            for key, value in _settings(origin).items()
            if len(seen[key]) > 1
        ]
        return f"{origin.model} ({', '.join(differing)})" if differing else origin.model


def _as_typed(value: Any) -> str:
    """A setting's value as an override spells it."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _row(
    runs: list[Record], metrics: list[RetrievalMetrics], names: _Names, told_apart: bool
) -> Row:
    first = runs[0].origins
    single = len(first) == 1
    settings = list(dict.fromkeys(names.of(origin) for origin in first))
    setting = settings[0] if single else ensemble_model(first)
    titles = list(dict.fromkeys(origin.model for origin in first))
    if not single and len(settings) <= 2 and settings != titles:
        setting = " and ".join(settings)
    weights = [member.weight for member in runs[0].members]
    if max(weights) - min(weights) > 1e-6:
        setting += f" (weights {', '.join(f'{weight:.3g}' for weight in weights)})"
    if told_apart:
        folders = dict.fromkeys(str(Path(origin.checkpoint).parent) for origin in first)
        setting += f" [{', '.join(folders)}]"
    crossing = [origin.is_cross_dataset(runs[0].dataset) for origin in first]
    mark = " (cross-dataset)" if all(crossing) else " (partly cross-dataset)" * any(crossing)
    figures = zip(*map(_figures, metrics), strict=True)
    return Row(
        setting,
        first[0].features if single else ensemble_features(first),
        "single" if single else f"ensemble of {len(first)}",
        ", ".join(dict.fromkeys(origin.source for origin in first)) + mark,
        _per_run(runs, "seed"),
        _per_run(runs, "epoch"),
        tuple(
            Spread(statistics.mean(v), statistics.stdev(v) if len(v) > 1 else None) for v in figures
        ),
    )


def _per_run(runs: list[Record], name: str) -> str:
    """A value per run; within a run, its members'."""
    texts = []
    for run in runs:
        values = ["-" if (v := getattr(o, name)) is None else str(v) for o in run.origins]
        texts.append(values[0] if len(set(values)) == 1 else "+".join(values))
    return ", ".join(texts) if set(texts) != {"-"} else "-"


def _figures(metrics: RetrievalMetrics) -> list[float]:
    sides = (metrics.i2t, metrics.t2i)
    return [*(v for side in sides for v in (side.r1, side.r5, side.r10)), metrics.rsum]


def _published(row: PublishedRow) -> Row:
    figures = tuple(Spread(value) for value in (*row.i2t, *row.t2i, row.rsum))
    kind = row.features or "not stated", row.models or "not stated"
    return Row(row.title, *kind, row.dataset, "-", "-", figures, row.source)


def _cells(row: Row) -> list[str]:
    """A row's cells as text, rounded; a spread is mean ± standard deviation."""

    def text(figure: Spread) -> str:
        spread = "" if figure.sd is None else f" ± {figure.sd:.1f}"
        return "-" if figure.mean is None else f"{figure.mean:.1f}{spread}"

    return row.cells(text)


def to_markdown(table: Table) -> str:
    """The table under its title."""
    rows = [COLUMNS, *map(_cells, (*table.rows, *table.published))]
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([f"### {table.title}", "", lines[0], "|---" * len(COLUMNS) + "|", *lines[1:]])


def to_latex(table: Table) -> str:
    """A tabular, with rules between singles and ensembles and before published rows."""

    def escape(text: str) -> str:
        for sign in "\\&%$#_{}":
            text = text.replace(sign, f"\\{sign}" if sign != "\\" else r"\textbackslash ")
        return text.replace("±", r"$\pm$")

    def lines(rows: Iterable[Iterable[str]]) -> str:
        return "\n".join(" & ".join(map(escape, cells)) + r" \\" for cells in rows)

    singles = [row for row in table.rows if row.models == "single"]
    ensembles = [row for row in table.rows if row.models != "single"]
    blocks = [lines(map(_cells, rows)) for rows in (singles, ensembles, table.published) if rows]
    columns = "l" * (len(COLUMNS) - len(FIGURES) - 1) + "r" * len(FIGURES) + "l"
    body = "\n\\hline\n".join(["", lines([COLUMNS]), *blocks, ""]).strip()
    return f"% {table.title}\n\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}"


def to_csv(tables: Iterable[Table]) -> str:
    """All tables as one, unrounded; a figure and its standard deviation are columns."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    deviations = [f"{name} sd" for name in FIGURES]
    writer.writerow(["table", *COLUMNS[:-1], *deviations, COLUMNS[-1]])
    for table in tables:
        for row in (*table.rows, *table.published):
            cells = row.cells(lambda figure: "" if figure.mean is None else repr(figure.mean))
            spreads = ["" if f.sd is None else repr(f.sd) for f in row.figures]
            writer.writerow([table.title, *cells[:-1], *spreads, cells[-1]])
    return file.getvalue()
