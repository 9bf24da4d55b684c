"""Many runs' results side by side: rows averaged over seeds, published rows beneath."""

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lib.evaluation.ensemble import ensemble_features, ensemble_model
from lib.evaluation.published import published_rows
from lib.evaluation.results import Origin

FIGURES = ("i2t R@1", "i2t R@5", "i2t R@10", "t2i R@1", "t2i R@5", "t2i R@10", "rSum")
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


@dataclass
class Table:
    """The rows of one dataset, split and protocol."""

    title: str
    rows: list[Row] = field(default_factory=list)
    published: list[Row] = field(default_factory=list)


def compare(records: Iterable[dict[str, Any]]) -> tuple[list[Table], list[str]]:
    """Tables of records as :mod:`lib.evaluation.record` writes them, one per protocol.

    Runs that differ in nothing but their seed become one row of means; single models and
    ensembles never do. An ensemble's members count as runs of their own, where they have no
    record of their own.

    Returns:
        The tables, and notes on records that contradict each other.
    """
    runs, notes = _distinct(list(records))
    differing = _differing_settings(runs)
    groups: dict[tuple, list[dict]] = {}
    for run in runs:
        protocols = tuple((r["protocol"], r["images"]) for r in run["results"])
        label = (run["dataset"], run["split"], protocols, *_label(run, differing))
        groups.setdefault(label, []).append(run)
    tables: dict[tuple, Table] = {}
    for members, told_apart in (
        (part, len(parts) > 1)
        for parts in map(_by_distinct_seeds, groups.values())
        for part in parts
    ):
        for index, result in enumerate(members[0]["results"]):
            dataset, split = members[0]["dataset"], members[0]["split"]
            protocol = (dataset, split, result["protocol"], result["images"])
            if protocol not in tables:
                published = [_published(r) for r in published_rows(dataset, split, protocol[3])]
                tables[protocol] = Table(f"{dataset} {result['protocol']}", published=published)
            results = [run["results"][index] for run in members]
            row = _row(members, results, differing)
            if told_apart:
                places = dict.fromkeys(str(Path(o.checkpoint).parent) for o in _origins(members[0]))
                row = replace(row, setting=f"{row.setting} [{', '.join(places)}]")
            tables[protocol].rows.append(row)
    for table in tables.values():
        table.rows.sort(key=lambda row: (row.models != "single", row.models))
    return list(tables.values()), notes


def _distinct(records: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Every run once: by its own record first, by an ensemble's that it is a member of else."""
    runs: dict[tuple, dict[str, Any]] = {}
    notes = []
    for record in records:
        weights = tuple(m["weight"] for m in record.get("members", ()))
        who = tuple(_training(origin) for origin in _origins(record))
        epochs = tuple(origin.epoch for origin in _origins(record))
        runs.setdefault((record["dataset"], record["split"], who, epochs, weights), record)
    own: dict[tuple, list[dict[str, Any]]] = {}
    for (dataset, split, who, _, _), run in runs.items():
        if run["models"] == "single":
            own.setdefault((dataset, split, *who), []).append(run)
    for record in records:
        for member in record.get("members", ()):
            key = (member["dataset"], member["split"], _training(_origins(member)[0]))
            known = own.setdefault(key, [])
            if not known:
                known.append(member)
                runs[(*key, "member")] = member
            sums = [[round(r["rsum"], 2) for r in run["results"]] for run in (*known, member)]
            if sums[-1] not in sums[:-1]:
                notes.append(
                    f"an ensemble on {member['dataset']} holds other figures of "
                    f"{member['checkpoint']} than its own results; evaluate the ensemble again"
                )
    return list(runs.values()), list(dict.fromkeys(notes))


def _training(origin: Origin) -> str:
    """What a run is a function of, wherever its checkpoint lies; a file that tells none of it is
    known by its name and features."""
    if origin.config is None:
        return f"{origin.checkpoint} {origin.features}"
    return json.dumps(origin.config, sort_keys=True)


def _by_distinct_seeds(group: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """One row of means, unless a seed occurs twice: then each run is a row, told by its folder."""
    seeds = [tuple(origin.seed for origin in _origins(run)) for run in group]
    return [group] if len(set(seeds)) == len(seeds) else [[run] for run in group]


def _origins(run: dict[str, Any]) -> list[Origin]:
    fields = Origin.__dataclass_fields__
    return [Origin(**{k: m[k] for k in fields if k in m}) for m in run.get("members", [run])]


def _settings(origin: Origin) -> dict[str, Any]:
    flat = {f"{s}.{k}": v for s, values in (origin.config or {}).items() for k, v in values.items()}
    return {k: v for k, v in flat.items() if not k.startswith(NO_SETTING)}


def _differing_settings(runs: list[dict[str, Any]]) -> dict[tuple[str, str, str], list[str]]:
    """Per model, features and training data, the settings in which their runs differ."""
    found: dict[tuple[str, str, str], dict[str, set]] = {}
    for origin in (o for run in runs for o in _origins(run) if o.config is not None):
        values = found.setdefault((origin.model, origin.features, origin.source), {})
        for key, value in _settings(origin).items():
            values.setdefault(key, set()).add(repr(value))
    # What the model's title says already is not repeated.
    titled = ("model.vsem", "model.vspm", "model.segmentation", "model.direction")
    titled += tuple(f"model.use_{part}_graph" for part in ("spatial", "semantic", "text"))
    titled += ("model.use_local_interaction", "model.use_global_interaction")
    return {
        which: [key for key, seen in values.items() if len(seen) > 1 and key not in titled]
        for which, values in found.items()
    }


def _setting(origin: Origin, differing: dict[tuple[str, str, str], list[str]]) -> str:
    if origin.config is None:  # it tells no recipe, so it is a setting of its own
        return f"{origin.model} ({origin.checkpoint})"
    keys = differing.get((origin.model, origin.features, origin.source), [])
    settings = _settings(origin)
    told = ", ".join(f"{key}={_as_typed(settings[key])}" for key in keys if key in settings)
    return f"{origin.model} ({told})" if told else origin.model


def _as_typed(value: Any) -> str:
    """A setting's value as an override spells it."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _label(run: dict[str, Any], differing: dict[tuple[str, str, str], list[str]]) -> tuple:
    """What runs must share to be one row: all but the seed."""
    weights = [round(member["weight"], 6) for member in run.get("members", ({"weight": 1},))]
    parts = [
        (_setting(o, differing), o.features, o.source, weight)
        for o, weight in zip(_origins(run), weights, strict=True)
    ]
    return run["models"], tuple(sorted(parts))


def _row(runs: list[dict], results: list[dict], differing: dict) -> Row:
    first = _origins(runs[0])
    all_origins = [_origins(run) for run in runs]

    def listing(name: str) -> str:
        """A value per run; within a run, its members'."""
        per_run = []
        for origins in all_origins:
            values = ["-" if (v := getattr(o, name)) is None else str(v) for o in origins]
            per_run.append(values[0] if len(set(values)) == 1 else "+".join(values))
        return ", ".join(per_run) if set(per_run) != {"-"} else "-"

    settings = list(dict.fromkeys(_setting(origin, differing) for origin in first))
    plain = ensemble_model(first) if len(first) > 1 else settings[0]
    told = len(settings) <= 2 and settings != list(dict.fromkeys(o.model for o in first))
    setting = " and ".join(settings) if len(first) > 1 and told else plain
    weights = [member["weight"] for member in runs[0].get("members", ())]
    if weights and max(weights) - min(weights) > 1e-6:
        setting += f" (weights {', '.join(f'{w:.3g}' for w in weights)})"
    sources = dict.fromkeys(o.source for o in first)
    return Row(
        setting,
        ensemble_features(first) if len(first) > 1 else first[0].features,
        "single" if runs[0]["models"] == "single" else f"ensemble of {len(first)}",
        ", ".join(sources) + _crossing(first, runs[0]["dataset"]),
        listing("seed"),
        listing("epoch"),
        tuple(_spread(values) for values in zip(*map(_figures, results), strict=True)),
    )


def _crossing(origins: list[Origin], dataset: str) -> str:
    crossing = [origin.is_cross_dataset(dataset) for origin in origins]
    return "" if not any(crossing) else f" ({'' if all(crossing) else 'partly '}cross-dataset)"


def _figures(result: dict[str, Any]) -> list[float]:
    recalls = [result[side][k] for side in ("i2t", "t2i") for k in ("r1", "r5", "r10")]
    return [*recalls, result["rsum"]]


def _spread(values: tuple[float, ...]) -> Spread:
    return Spread(statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None)


def _published(row: Any) -> Row:
    figures = (Spread(value) for value in (*row.i2t, *row.t2i, row.rsum))
    stated = "not stated"
    return Row(
        row.title, row.features or stated, row.models or stated, row.dataset, "-", "-",
        tuple(figures), row.source,
    )  # fmt: skip
