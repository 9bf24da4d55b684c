"""Bad paths: each path of each program, replaced by each kind of bad one."""

import os
import pickle
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.campaign.programs import commands, fill
from benchmarks.campaign.server import Case
from benchmarks.campaign.world import Shared


class Bomb:
    """A pickle that writes a file where it is loaded."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple:
        return open, (str(self.path), "w")


def _file(folder: Path, content: bytes) -> str:
    path = folder / "bad"
    path.write_bytes(content)
    return str(path)


def _loop(folder: Path) -> str:
    (folder / "loop").symlink_to(folder / "loop")
    return str(folder / "loop")


def _fifo(folder: Path) -> str:
    os.mkfifo(folder / "fifo")
    return str(folder / "fifo")


def _device(folder: Path) -> str:
    """A device of the case's own: a program run by root could replace a real one. Who is
    not root cannot replace one."""
    path = folder / "device"
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        path.symlink_to("/dev/zero")
    return str(path)


def _made(folder: Path, name: str = "folder") -> str:
    (folder / name).mkdir()
    return str(folder / name)


def _zip(folder: Path) -> str:
    with zipfile.ZipFile(folder / "bad.zip", "w") as file:
        file.writestr("a", "b")
    return str(folder / "bad.zip")


def _half(folder: Path, good: Path) -> str:
    content = good.read_bytes()
    return _file(folder, content[: len(content) // 2])


Bad = Callable[[Path, Path], str]


NOWHERE: dict[str, Bad] = {
    "missing": lambda folder, _: str(folder / "none"),
    "empty name": lambda *_: "",
    "NUL": lambda *_: "a\0b",
    "5,000 characters": lambda *_: "x" * 5000,
    "a long path": lambda *_: "x/" * 2500,
    "a loop of links": lambda folder, _: _loop(folder),
    "inside a file": lambda folder, _: _file(folder, b"a") + "/x",
    "no UTF-8 name": lambda *_: "caf\udce9",
}


FILES: dict[str, Bad] = NOWHERE | {
    "a folder": lambda folder, _: _made(folder),
    "an empty file": lambda folder, _: _file(folder, b""),
    "a web page": lambda folder, _: _file(folder, b"<!DOCTYPE html><html>404</html>"),
    "noise": lambda folder, _: _file(folder, np.random.default_rng(0).bytes(5000)),
    "Latin-1": lambda folder, _: _file(folder, "a café\n".encode("latin-1") * 5),
    "NUL bytes": lambda folder, _: _file(folder, bytes(3000)),
    "a pipe": lambda folder, _: _fifo(folder),
    "a device": lambda folder, _: _device(folder),
    "a zip": lambda folder, _: _zip(folder),
    "a pickle": lambda folder, _: _file(folder, pickle.dumps(Bomb(folder / "burst"))),
    "nested lists": lambda folder, _: _file(folder, b"[" * 200_000),
    "JSON of another shape": lambda folder, _: _file(folder, b'[{"a": null}, 1]'),
    "a JSON number": lambda folder, _: _file(folder, b"1" * 5000),
    "half of it": _half,
}


FOLDERS: dict[str, Bad] = NOWHERE | {
    "a file": lambda folder, _: _file(folder, b"a"),
    "an empty folder": lambda folder, _: _made(folder),
    "a device": lambda folder, _: _device(folder),
}


def _theirs(folder: Path, content: bytes) -> str:
    (folder / "theirs").write_bytes(content)
    return str(folder / "theirs")


def _link(folder: Path, target: Path | str) -> str:
    (folder / "link").symlink_to(target)
    return str(folder / "link")


OUTPUTS: dict[str, Bad] = {
    **{name: NOWHERE[name] for name in NOWHERE if name not in ("missing", "no UTF-8 name")},
    "a folder": lambda folder, _: _made(folder),
    "a device": lambda folder, _: _device(folder),
    "a pipe": lambda folder, _: _fifo(folder),
    "somebody's text": lambda folder, _: _theirs(folder, b"precious\n"),
    "somebody's JSON": lambda folder, _: _theirs(folder, b'{"precious": 1}'),
    "a link to somebody's text": lambda folder, _: _link(folder, _theirs(folder, b"precious\n")),
    "a link to a device": lambda folder, _: _link(folder, _device(folder)),
}


MADE: dict[str, Bad] = {
    **{name: OUTPUTS[name] for name in ("empty name", "NUL", "5,000 characters", "a long path",
                                        "a loop of links", "inside a file", "a device", "a pipe",
                                        "somebody's text")},
    "somebody's folder": lambda folder, _: str(
        Path(_theirs(Path(_made(folder)), b"precious\n")).parent
    ),
}  # fmt: skip


KINDS = {"file": FILES, "folder": FOLDERS, "output": OUTPUTS, "made": MADE}


# What is an input of its kind all the same.
FITS = {
    ("train_caps.txt", "a web page"), ("train_caps.txt", "a JSON number"),
    ("train_caps.txt", "nested lists"), ("train_caps.txt", "JSON of another shape"),
    ("train_caps.txt", "half of it"), ("train_caps.txt", "NUL bytes"),
    ("table.tsv", "half of it"), ("config.yaml", "an empty file"), ("config.yaml", "half of it"),
}  # fmt: skip


def path_cases(shared: Shared) -> Iterator[Case]:
    """Each path of each command, replaced by each kind of bad one."""
    for name, words in commands(shared).items():
        for place, slot in enumerate(words):
            if isinstance(slot, str):
                continue
            flag = slot.prefix or next(
                (w for w in reversed(words[:place]) if isinstance(w, str) and w[:2] == "--"), ""
            )
            for kind, bad in KINDS[slot.kind].items():

                def prepare(
                    folder: Path, words: Any = words, place: int = place, bad: Bad = bad
                ) -> list[str]:
                    filled = fill(words, folder, shared)
                    mine = folder / "mine"
                    mine.mkdir()
                    good = Path(filled[place].removeprefix(words[place].prefix))
                    filled[place] = words[place].prefix + bad(mine, good)
                    return filled

                fits = (slot.path.name, kind) in FITS
                fits |= name == "results_table" and kind == "a folder"  # without results
                # What is called no .json is passed over with a note, as a log beside runs is.
                fits |= name == "results_table" and slot.kind == "file"
                # A dataset's folder holds other files too, none of which is touched.
                shared_folder = name.startswith(("prepare_captions", "pack_features"))
                fits |= kind == "somebody's folder" and shared_folder
                yield Case(f"{name} {flag} {kind}", prepare, may_succeed=fits)
