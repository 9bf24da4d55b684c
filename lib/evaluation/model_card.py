"""The card of a model that travels: what it is, what it scores, how it was trained, its limits."""

import shlex
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from lib.config import Config
from lib.evaluation.records import Record
from lib.evaluation.results_table import FIGURES, PRECISIONS, Table, compare

TO_FILL_IN = "to be filled in"


def model_card(
    title: str,
    repo: str,
    config: Config,
    progress: dict[str, Any],
    sessions: Sequence[dict[str, Any]],
    records: Sequence[Record],
    licence: str | None,
    code: str,
) -> str:
    """Markdown with the hub's front matter. ``sessions`` is ``environment.json`` of the run;
    without ``records`` the card says that there are no results; ``code`` is what trained it."""
    parts = [
        _front_matter(config, licence),
        f"# {title}, trained on {config.data.dataset}",
        f"Image-sentence retrieval: {title} on {_features(config)} of {config.data.dataset}, "
        f"trained and scored with {code}.",
        "## Use",
        _use(repo, config),
        "## Results",
        _results(records),
        "## Training",
        _training(config, progress, sessions),
        "## Limits",
        _limits(config),
        "## Licence",
        f"{licence or TO_FILL_IN}. The weights, the data set's captions and the pictures each have "
        "terms of their own.",
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(config: Config, licence: str | None) -> str:
    lines = ["---", f"license: {licence or 'other'}"]
    if licence is None:
        lines.append(f"license_name: {TO_FILL_IN.replace(' ', '-')}")
    lines += ["language: en", "tags:", "- image-text-retrieval", f"- {config.model.family}"]
    return "\n".join([*lines, f"- {config.data.dataset}", "---"])


def _features(config: Config) -> str:
    return {"region": "regions", "grid": "grids", "images": "pictures"}[config.features.type]


def _use(repo: str, config: Config) -> str:
    data = f"--data_path data --dataset {config.data.dataset}"
    return (
        "```sh\n"
        f"python eval.py --checkpoint hf://{repo} {data}\n"
        "```\n\n"
        "```python\n"
        "from lib.retriever import load\n\n"
        f'model = load("hf://{repo}")\n'
        'texts = model.encode_texts(["two dogs on a beach"])\n'
        "```"
    )


def _results(records: Sequence[Record]) -> str:
    if not records:
        return "None were recorded."
    tables, _ = compare(records)
    return "\n\n".join(map(_table, tables))


def _table(table: Table) -> str:
    """The figures alone: the model is the card's."""
    names = [*FIGURES, *(PRECISIONS if table.rows[0].precisions else ())]
    lines = [f"{table.title}, percent", ""]
    lines += [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for row in table.rows:
        figures = (*row.figures, *row.precisions)
        lines.append(f"| {' | '.join(map(str, figures))} |")
    return "\n".join(lines)


def _training(config: Config, progress: dict[str, Any], sessions: Sequence[dict[str, Any]]) -> str:
    lines = [f"- seed {config.run.seed}, the settings of `config.yaml`"]
    if (best := progress.get("best_epoch")) is not None:
        lines.append(f"- best on dev in epoch {best}, counted from 0: rSum "
                     f"{progress.get('best_rsum', 0):.1f}")  # fmt: skip
    if sessions:
        last = sessions[-1]
        lines.append(f"- command: `{_command(last.get('command', []))}`")
        versions = [f"{name} {last[name]}" for name in ("torch", "transformers") if name in last]
        place = last.get("gpu") or "a CPU"
        many = last.get("world_size", 1)
        lines.append(f"- {', '.join(versions)}; {many if many > 1 else 'one'} process"
                     f"{'es' if many > 1 else ''} on {place}")  # fmt: skip
    for kind, one in sorted(progress.get("extractors", {}).items()):
        lines.append(f"- {kind}: by {one['extractor']}, weights {PurePath(one['weights']).name}")
    return "\n".join(lines)


def _command(words: Sequence[str]) -> str:
    """The command line without this machine's paths."""
    told = []
    for word in words:
        name, equals, value = word.rpartition("=")
        value = PurePath(value).name if PurePath(value).is_absolute() else value
        told.append(f"{name}{equals}{value}")
    return shlex.join(["python", *told])


def _limits(config: Config) -> str:
    lines = [
        f"- It knows pictures and English sentences like those of {config.data.dataset}; elsewhere "
        "its scores are lower, and were not measured unless a table above says so.",
        "- A score says which of several sentences or pictures fits better. It is no probability, "
        "and two unlike galleries' scores are not to be compared.",
        "- It repeats what annotators wrote, their mistakes and prejudices included. It is for "
        "research, not for decisions about people.",
    ]
    if config.features.type != "images":
        lines.append(
            f"- It reads {_features(config)} of the extractor that it was trained with, not "
            "pictures; features of another extractor give other scores."
        )
    return "\n".join(lines)
