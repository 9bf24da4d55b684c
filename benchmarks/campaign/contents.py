"""Damaged contents: odd settings, fields of other types, odd bytes in text files."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.campaign.bombs import BOMB_SECONDS
from benchmarks.campaign.server import Case
from benchmarks.campaign.world import Shared

OVERRIDES = ("", "null", "x", "-1", "1e999", ".nan", "[1]", "{a: 1}", "2001-99-99", "9" * 5000,
             "a\0b", "true", "!!python/name:os.system", "*a", "[" * 3000, "0x1z")  # fmt: skip


WRONG: tuple[Any, ...] = (None, -1, "x", [], {}, float("nan"), 10**400, True, [[1]], {"a": {}})


def setting_cases(shared: Shared) -> Iterator[Case]:
    """Each setting of each family with each odd value; none may end in a traceback."""
    from lib.config import settings_of

    families = (("threeshnet", "scenes_region"), ("cmsei", "scenes_cmsei"), ("lhsc", "scenes_lhsc"))
    for family, config in families:
        for key in settings_of(family):
            if family != "threeshnet" and not key.startswith("model."):
                continue
            for value in OVERRIDES:

                def prepare(
                    _: Path, config: str = config, key: str = key, value: str = value
                ) -> list[str]:
                    override = f"{key}={value}"
                    return [
                        "train.py",
                        "--config",
                        f"configs/{config}.yaml",
                        "--settings",
                        override,
                    ]

                # A bomb is quick to refuse; a value that fits is none of ours to judge.
                name = f"{key}={value[:20]!r}"
                yield Case(name, prepare, True, most_seconds=BOMB_SECONDS)


def _places(content: Any, path: tuple = ()) -> Iterator[tuple]:
    """Paths of all values of nested dicts and lists, a few of each long one."""
    items: list[tuple] = []
    if isinstance(content, dict):
        items = list(content.items())
    elif isinstance(content, list | tuple):
        items = list(enumerate(content))
    for key, value in items[:4] if len(items) > 12 else items:
        yield (*path, key)
        yield from _places(value, (*path, key))


def _with(content: Any, path: tuple, value: Any) -> Any:
    if not path:
        return value
    key, *rest = path
    if isinstance(content, dict):
        return content | {key: _with(content[key], tuple(rest), value)}
    changed = list(content)
    changed[key] = _with(content[key], tuple(rest), value)
    return changed


def field_cases(shared: Shared) -> Iterator[Case]:
    """Each field of a checkpoint and of the project's JSON files with values of other types."""
    import torch

    raw = torch.load(shared.run / "checkpoint.pth", weights_only=True)
    tensors = (torch.zeros(2, 3), torch.zeros(1, dtype=torch.int8), torch.zeros((), dtype=bool),
               torch.zeros(1).expand(10**9), torch.zeros(3, dtype=torch.complex64))  # fmt: skip
    for path in _places(raw):
        wrong = (*WRONG, *tensors) if path[0] in ("model", "training") else WRONG
        for number, value in enumerate(wrong):
            for use in ("eval", "resume"):

                def prepare(
                    folder: Path, path: tuple = path, value: Any = value, use: str = use
                ) -> list[str]:
                    run = folder / "run"
                    run.mkdir()
                    torch.save(_with(raw, path, value), run / "checkpoint.pth")
                    if use == "eval":
                        return shared.evaluate(run / "checkpoint.pth")
                    shutil.copy(shared.run / "environment.json", run)
                    return shared.train(run, "--resume", "train.epochs=3")

                where = ".".join(map(str, path))[:60]
                changes = frozenset({"checkpoint.pth", "environment.json", "model_best.pth"})
                yield Case(f"checkpoint {where} {number} {use}", prepare, True, changes)
    files = {
        "results.json": (shared.run / "results.json", ["scripts/results_table.py"]),
        "environment.json": (shared.run / "environment.json", None),
        "config.json": (shared.bert / "config.json", None),
        "lhsc_vocab.json": (shared.root / "lhsc_vocab.json",
                            shared.evaluate(shared.lhsc, "--vocab")),
    }  # fmt: skip
    for name, (source, words) in files.items():
        content = json.loads(source.read_text())
        for path in [(), *_places(content)]:
            for number, value in enumerate((*WRONG, "unlink" if not path else "\ud800")):

                def prepare(
                    folder: Path, name: str = name, source: Path = source, words: Any = words,
                    content: Any = content, path: tuple = path, value: Any = value,
                ) -> list[str]:  # fmt: skip
                    if words:
                        target, result = folder / name, [*words, str(folder / name)]
                    elif name == "environment.json":
                        shutil.copytree(shared.run, folder / "run", dirs_exist_ok=True)
                        target = folder / "run" / name
                        result = shared.train(folder / "run", "--resume", "train.epochs=3")
                    else:
                        shutil.copytree(shared.bert, folder / "bert")
                        target = folder / "bert" / name
                        result = shared.evaluate(shared.checkpoint, "--bert", folder / "bert")
                    target.write_text(json.dumps(_with(content, path, value)))
                    return result

                changes = frozenset(path.name for path in shared.run.rglob("*"))
                where = ".".join(map(str, path))[:60]
                yield Case(f"{name} {where} {number}", prepare, True, changes)


def text_cases(shared: Shared) -> Iterator[Case]:
    """Odd bytes in the text files of a dataset and of a BERT."""
    contents = {
        "empty": b"", "no UTF-8": b"a\xff\n" * 60, "NUL": b"a\0b\n" * 60, "one line": b"a" * 10**6,
        "separators": "a\u2028b\u0085c\n".encode() * 60, "carriage returns": b"a\r\n" * 60,
        "blank": b"\n" * 60, "the same": b"a\n" * 60, "BOM": "\ufeffa\n".encode() * 60,
        "half": None,
    }  # fmt: skip
    files = ["train_caps.txt", "train_ids.txt", "bert/vocab.txt", "bert/config.json"]
    files += ["bert/tokenizer.json", "bert/tokenizer_config.json", "bert/model.safetensors"]
    for file in files:
        for kind, content in contents.items():

            def prepare(folder: Path, file: str = file, content: Any = content) -> list[str]:
                shutil.copytree(shared.data, folder / "scenes_precomp")
                path = folder / "scenes_precomp" / file
                whole = path.read_bytes() if path.exists() else b"{}"
                path.write_bytes(whole[: len(whole) // 2] if content is None else content)
                more = (f"data.root={folder}", f"model.bert={folder / 'scenes_precomp' / 'bert'}")
                return shared.train(folder / "out", *more)

            yield Case(f"{file} {kind}", prepare, may_succeed=True)
