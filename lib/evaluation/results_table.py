"""Tables of many runs: rows averaged over seeds, published rows beneath."""

import json
import statistics
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

from lib.config import DataConfig, FeaturesConfig, TrainConfig
from lib.evaluation.ensemble import ensemble_features, ensemble_model
from lib.evaluation.perturbations import MEANINGS
from lib.evaluation.protocols import ProtocolResult
from lib.evaluation.published import published_rows
from lib.evaluation.records import Origin, Record, single_record

FIGURES = ("i2t R@1", "i2t R@5", "i2t R@10", "t2i R@1", "t2i R@5", "t2i R@10", "rSum")
# Of benchmarks whose queries have many right answers.
PRECISIONS = ("i2t mAP@R", "i2t R-P", "t2i mAP@R", "t2i R-P")
COLUMNS = ("setting", "features", "models", "trained on", "seeds", "epoch", *FIGURES, "source")
# Settings that tell where and how a run was done; rows that differ in these alone are one.
NO_SETTING = ("run.", "eval.", "data.root", "data.workers", "data.dataset", "features.type")

# Settings that every family has, as they are where a record says nothing of them.
DEFAULTS = {
    "data": DataConfig().model_dump(mode="json"),
    "features": FeaturesConfig().model_dump(mode="json"),
    "train": TrainConfig().model_dump(mode="json"),
}


@dataclass(frozen=True)
class Spread:
    """A figure over seeds, percent; ``sd`` is the sample's, None for a single one."""

    mean: float | None
    sd: float | None = None

    def __str__(self) -> str:
        spread = "" if self.sd is None else f" ± {self.sd:.1f}"
        return "-" if self.mean is None else f"{self.mean:.1f}{spread}"


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
    precisions: tuple[Spread, ...] = ()  # as PRECISIONS, where a benchmark has them

    def cells(self, text: Callable[[Spread], str] = str) -> list[str]:
        """As COLUMNS, with PRECISIONS before the last where there are any."""
        names = [self.setting, self.features, self.models, self.trained_on, self.seeds, self.epoch]
        return [*names, *map(text, (*self.figures, *self.precisions)), self.source]


@dataclass
class Table:
    """The rows of one dataset, split and protocol."""

    title: str
    images: int  # that each query or gallery holds
    rows: list[Row] = field(default_factory=list)
    published: list[Row] = field(default_factory=list)
    directions: tuple[str, str] = ("image to text", "text to image")
    note: str = ""  # what was changed, where captions or pictures were

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its rows' cells."""
        precisions = PRECISIONS if any(row.precisions for row in self.rows) else ()
        names = (*COLUMNS[:-1], *precisions, COLUMNS[-1])
        if self.directions == ("image to text", "text to image"):
            return names
        return tuple(name.replace("i2t ", "i2i ").replace("t2i ", "t2t ") for name in names)


def compare(records: Iterable[Record]) -> tuple[list[Table], list[str]]:
    """One table per protocol, and notes on records that contradict each other. Runs that differ in
    nothing but their seed become one row of means; single models and ensembles never share one. An
    ensemble's members are runs of their own, where they have no record of their own."""
    runs, notes = _distinct(list(records))
    seen: dict[tuple[str, ...], dict[str, set[str]]] = {}  # kind of run -> values of each setting
    for origin in (origin for run in runs for origin in run.origins):
        for key, value in _settings(origin).items():
            seen.setdefault(_kind(origin), {}).setdefault(key, set()).add(value)
    groups: dict[str, list[Record]] = {}
    for run in runs:
        groups.setdefault(_all_but_seed(run), []).append(run)
    tables: dict[tuple[str, str, str], Table] = {}
    for group in groups.values():
        seeds = {tuple(origin.seed for origin in run.origins) for run in group}
        repeated = len(seeds) < len(group)  # then each run is a row, told by its folder
        for members in [[run] for run in group] if repeated else [group]:
            dataset, split = members[0].dataset, members[0].split
            for result in _named(members):
                having = [run for run in members if _result(run, result.name) is not None]
                if (protocol := (dataset, split, result.name)) not in tables:
                    published = [] if result.benchmark is not None else [
                        Row(row.title, row.features or "not stated", row.models or "not stated",
                            row.dataset, "-", "-",
                            tuple(map(Spread, (*row.i2t, *row.t2i, row.rsum))), row.source)
                        for row in published_rows(dataset, split, result.images)
                    ]  # fmt: skip
                    tables[protocol] = table = Table(
                        f"{dataset} {result.name}",
                        result.images,
                        published=published,
                        note=MEANINGS.get(result.benchmark or "", ""),
                    )
                    if result.benchmark == "cxc_intra":
                        table.directions = ("image to image", "text to text")
                tables[protocol].rows.append(_row(having, result.name, seen, told_apart=repeated))
    for table in tables.values():
        table.rows.sort(key=lambda row: (row.models != "single", row.models))
    return list(tables.values()), notes


def _result(run: Record, name: str) -> ProtocolResult | None:
    return next((result for result in run.results if result.name == name), None)


def _named(runs: list[Record]) -> list[ProtocolResult]:
    """One result of each protocol, benchmark and perturbation that any of the runs has."""
    found: dict[str, ProtocolResult] = {}
    for result in (result for run in runs for result in run.results):
        found.setdefault(result.name, result)
    return list(found.values())


def _distinct(records: list[Record]) -> tuple[list[Record], list[str]]:
    """Every run once; prefer a run's own record to an ensemble's that it is a member of."""
    runs: dict[str, Record] = {}
    own: dict[str, list[Record]] = {}
    for record in records:
        details = [(member.weight, member.origin.epoch) for member in record.members]
        key = json.dumps([_training(record), details])
        runs[key] = _merged(runs[key], record.results) if key in runs else record
    for run in runs.values():
        own.setdefault(_training(run), []).append(run)
    notes = []
    for record in records:
        for member in record.members if len(record.members) > 1 else ():
            alone = single_record(member.origin, record.dataset, record.split, member.results)
            known = own.setdefault(_training(alone), [])
            if not known:
                known.append(alone)
                runs[f"member {len(runs)}"] = alone
            elif len(known) == 1 and _sums(known[0]) == _sums(alone):
                key = next(key for key, run in runs.items() if run is known[0])
                runs[key] = known[0] = _merged(known[0], alone.results)
            figures = [_sums(run) for run in known]
            if _sums(alone) not in figures:
                notes.append(
                    f"an ensemble on {record.dataset} holds other figures of "
                    f"{member.origin.checkpoint} than its own results; evaluate the ensemble again"
                )
    return list(runs.values()), list(dict.fromkeys(notes))


def _merged(run: Record, results: list[ProtocolResult]) -> Record:
    """A run with what it lacks of ``results``, of the same weights: benchmarks may have been asked
    for at another time."""
    known = {result.name for result in run.results}
    return replace(run, results=[*run.results, *(r for r in results if r.name not in known)])


def _sums(run: Record) -> list[float]:
    """The rSum of each protocol: an ensemble may have been asked for other benchmarks."""
    return [round(r.metrics.rsum, 2) for r in run.results if r.benchmark is None]


def _training(run: Record) -> str:
    """What a run is a function of, wherever its checkpoint lies; a released file, which tells none
    of it, is known by its name and features."""
    told = [[o.checkpoint, o.features] if o.config is None else o.config for o in run.origins]
    return json.dumps([run.dataset, run.split, told], sort_keys=True)


def _kind(origin: Origin) -> tuple[str, ...]:
    return origin.model, origin.features, origin.source


def _settings(origin: Origin) -> dict[str, str]:
    """``section.key`` -> value as an override spells it."""
    found = origin.config or {}
    if origin.config is not None:  # an earlier version knew fewer settings
        found = {name: DEFAULTS.get(name, {}) | values for name, values in found.items()}
    flat = {f"{s}.{k}": v for s, values in found.items() for k, v in values.items()}
    return {
        key: json.dumps(value) if value is None or isinstance(value, bool) else str(value)
        for key, value in flat.items()
        if not key.startswith(NO_SETTING)
    }


def _all_but_seed(run: Record) -> str:
    """What runs share that become one row."""
    members: list[Any] = []
    for member in run.members:
        one = member.origin
        told = one.checkpoint if one.config is None else _settings(one)
        members.append(json.dumps([*_kind(one), round(member.weight, 6), told], sort_keys=True))
    protocols = [(r.name, r.images) for r in run.results if r.benchmark is None]
    return json.dumps([run.dataset, run.split, protocols, sorted(members)])


def _row(
    runs: list[Record],
    name: str,
    seen: dict[tuple[str, ...], dict[str, set[str]]],
    told_apart: bool,
) -> Row:
    """The row of runs that differ in their seed alone, for the protocol ``name``."""
    first = runs[0].origins

    def named(origin: Origin) -> str:
        """The model's title, with the settings in which such runs differ."""
        if origin.config is None:  # it tells no recipe, so it is a setting of its own
            return f"{origin.model} ({origin.checkpoint})"
        values = seen[_kind(origin)]
        told = [f"{k}={v}" for k, v in _settings(origin).items() if len(values[k]) > 1]
        return f"{origin.model} ({', '.join(told)})" if told else origin.model

    def per_run(name: str) -> str:
        """A value per run; within a run, its members'."""
        texts = []
        for run in runs:
            values = ["-" if (v := getattr(o, name)) is None else str(v) for o in run.origins]
            texts.append(values[0] if len(set(values)) == 1 else "+".join(values))
        return ", ".join(texts) if set(texts) != {"-"} else "-"

    settings, titles = (list(dict.fromkeys(map(f, first))) for f in (named, lambda o: o.model))
    single = len(first) == 1
    setting = settings[0] if single else ensemble_model(first)
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
    figures, precisions, many = [], [], False
    for result in filter(None, (_result(run, name) for run in runs)):
        sides = (result.metrics.i2t, result.metrics.t2i)
        figures.append([*(v for s in sides for v in (s.r1, s.r5, s.r10)), result.metrics.rsum])
        many = result.precision is not None  # then a sum of recalls says little
        if result.precision is not None:
            precisions.append(list(astuple(result.precision)))
    return Row(
        setting,
        first[0].features if single else ensemble_features(first),
        "single" if single else f"ensemble of {len(first)}",
        ", ".join(dict.fromkeys(origin.source for origin in first)) + mark,
        per_run("seed"),
        per_run("epoch"),
        (*_spreads(figures)[:-1], Spread(None)) if many else _spreads(figures),
        precisions=_spreads(precisions),
    )


def _spreads(runs: list[list[float]]) -> tuple[Spread, ...]:
    """Mean and deviation of each figure over runs."""
    return tuple(
        Spread(statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None)
        for values in zip(*runs, strict=True)
    )
