"""Bad paths: every path of every program, and outputs that are inputs."""

import os
import pickle
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.campaign.server import Case
from benchmarks.campaign.world import Shared


@dataclass(frozen=True)
class Slot:
    """A path of a command: an input ``file`` or ``folder``, or an ``output``, a file, or a folder
    that is ``made``; ``prefix`` stands before it, as in an override."""

    kind: str
    path: Path
    prefix: str = ""


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


def commands(shared: Shared) -> dict[str, list[str | Slot]]:
    """A command of each program, whose paths are to be replaced."""
    root, data, run, here = shared.root, shared.data, shared.run, Path("@")
    best, other = Slot("file", shared.checkpoint), Slot("file", shared.other)
    results = [Slot("file", path / "results.safetensors") for path in (run, root / "other")]
    embeddings = Slot("file", run / "embeddings.safetensors")
    config = Slot("file", run / "config.yaml")
    data_root, bert = Slot("folder", root), Slot("folder", shared.bert)
    target = ["--dataset", "scenes", "--device", "cpu", "--workers", "0"]
    pictures = Slot("folder", data / "images")
    into = Slot("folder", here / "data")
    read = ["--workers", "0"]
    quick = ["--device", "cpu", "--batch_size", "2", *read]
    fields = ["data.workers=0", "run.device=cpu"]
    return {
        "eval": ["eval.py", "--checkpoint", best, "--data_path", data_root, "--bert", bert, *target,
                 "--json", Slot("output", here / "r.json"), "--save_results",
                 Slot("output", here / "r.safetensors"), "--save_embeddings",
                 Slot("output", here / "e.safetensors")],
        "eval_ensemble": ["eval_ensemble.py", *results, "--json", Slot("output", here / "r.json")],
        "eval_cross_ensemble": [
            "eval_cross_ensemble.py", "--checkpoints", best, other, "--data_path", data_root,
            "--dataset", "scenes_b", "--device", "cpu", *read, "--json",
            Slot("output", here / "r.json")],
        "search": ["-m", "lib.evaluation.search", "--checkpoint", best, "--embeddings", embeddings,
                   "--bert", bert, "--device", "cpu", "--query", "a dog"],
        "train": ["train.py", "--config", config, Slot("folder", root, "data.root="),
                  Slot("folder", shared.bert, "model.bert="), "train.epochs=1", *fields,
                  Slot("made", here / "run", "run.out=")],
        "check_data": ["scripts/check_data.py", "--config", config,
                       Slot("folder", root, "data.root="), *fields],
        "convert_checkpoint": ["scripts/convert_checkpoint.py", best,
                               Slot("output", here / "c.pth")],
        "convert_instances": ["scripts/convert_instances.py", "--annotations",
                              Slot("file", root / "panoptic" / "instances.json"), "--out",
                              Slot("made", here / "out")],
        "convert_panoptic": ["scripts/convert_panoptic.py", "--json",
                             Slot("file", root / "panoptic" / "panoptic.json"), "--png",
                             Slot("folder", root / "panoptic" / "png"), "--data", into, *read],
        "draw_retrieval": ["scripts/draw_retrieval.py", "--embeddings", embeddings, "--data",
                           Slot("folder", data), "--out", Slot("output", here / "r.png")],
        "extract_grid": ["scripts/extract_grid.py", "--data", into, "--images", pictures,
                         "--weights", "random", "--shortest", "32", "--longest", "32", "--mapping",
                         Slot("file", root / "mapping.json"), *quick],
        "extract_grid weights": ["scripts/extract_grid.py", "--data", into, "--images", pictures,
                                 "--weights", Slot("file", shared.checkpoint), *quick],
        "extract_regions": ["scripts/extract_regions.py", "--data", into, "--images", pictures,
                            "--weights", "random", "--detector", Slot("file", shared.checkpoint),
                            *quick],
        "extract_segmentation": ["scripts/extract_segmentation.py", "--data", into, "--images",
                                 pictures, "--model", Slot("folder", shared.bert), *quick],
        "pack_features": ["scripts/pack_features.py", "--config", config,
                          Slot("folder", root, "data.root="), "features.folder=grids",
                          "features.type=grid", "--out", Slot("made", here / "packed"), *read],
        "prepare_captions": ["scripts/prepare_captions.py", "--karpathy",
                             Slot("file", root / "karpathy.json"), "--out",
                             Slot("made", here / "out")],
        "prepare_captions table": ["scripts/prepare_captions.py", "--table",
                                   Slot("file", root / "table.tsv"), "--images", pictures, "--out",
                                   Slot("made", here / "out")],
        "results_table": ["scripts/results_table.py", Slot("file", run / "results.json"),
                          Slot("file", root / "ensemble.json")],
        "scene_graph_to_rels": ["scripts/scene_graph_to_rels.py", "--graphs",
                                Slot("file", root / "graphs.jsonl"), "--data",
                                Slot("folder", here / "rels"), "--split", "test"],
        "scenes": ["-m", "lib.demo.scenes", "--train", "1", "--dev", "1", "--test", "1", "--out",
                   Slot("made", here / "world")],
        "small_bert": ["-m", "lib.demo.small_bert", "--captions",
                       Slot("file", data / "train_caps.txt"), "--out", Slot("made", here / "bert")],
    }  # fmt: skip


def fill(words: list[str | Slot], folder: Path, shared: Shared) -> list[str]:
    """The words with their good paths; ``@`` is the case's folder."""
    folders(folder, shared)
    return [word if isinstance(word, str) else word.prefix + _good(word, folder) for word in words]


def _good(slot: Slot, folder: Path) -> str:
    return str(slot.path).replace("@", str(folder), 1)


def folders(folder: Path, shared: Shared) -> None:
    """Datasets that commands write into."""
    ids = shared.root / "panoptic" / "data" / "test_ids.txt"
    for name in ("data", "rels"):
        (folder / name).mkdir()
        shutil.copy(ids, folder / name)
    shutil.copy(shared.data / "test_ims_bbx.npy", folder / "rels")


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
                # A dataset's folder holds other files too, none of which is touched.
                shared_folder = name.startswith(("prepare_captions", "pack_features"))
                fits |= kind == "somebody's folder" and shared_folder
                yield Case(f"{name} {flag} {kind}", prepare, may_succeed=fits)


def alias_cases(shared: Shared) -> Iterator[Case]:
    """Outputs that are inputs of the same command, or outputs of something else, by any name."""
    copies = {"model.pth": shared.checkpoint, "other.pth": shared.other}
    for path in ("results.safetensors", "embeddings.safetensors", "results.json"):
        copies |= {path: shared.run / path, f"other_{path}": shared.root / "other" / path}
    evaluate = ["eval.py", "--checkpoint", "model.pth", "--data_path", "data", "--dataset",
                "scenes", "--device", "cpu", "--workers", "0"]  # fmt: skip
    ensemble = ["eval_ensemble.py", "results.safetensors", "other_results.safetensors"]
    cross = ["eval_cross_ensemble.py", "--checkpoints", "model.pth", "--data_path", "data",
             "--dataset", "scenes_b", "--device", "cpu", "--workers", "0"]  # fmt: skip
    caps, ids = "data/scenes_precomp/test_caps.txt", "data/scenes_precomp/test_ids.txt"
    features = "data/scenes_precomp/test_ims.npy"
    vocabulary = "data/scenes_precomp/bert/vocab.txt"
    commands_of = {
        **{f"eval {flag} {file}": [*evaluate, flag, file]
           for flag in ("--json", "--save_results", "--save_embeddings")
           for file in ("model.pth", caps, ids, features, vocabulary, "other.pth",
                        "other_embeddings.safetensors", "other_results.safetensors",
                        "other_results.json")},
        "eval one file twice": [*evaluate, "--json", "new", "--save_results", "new"],
        "eval one file by two names": [*evaluate, "--json", "new", "--save_results", "./new"],
        **{f"eval_ensemble --json {file}": [*ensemble, "--json", file]
           for file in ("results.safetensors", "model.pth", caps, "other_results.json")},
        **{f"eval_cross_ensemble --json {file}": [*cross, "--json", file]
           for file in ("model.pth", "other.pth", caps, features, "other_results.json")},
        "convert_checkpoint itself": ["scripts/convert_checkpoint.py", "model.pth", "model.pth"],
        "convert_checkpoint another": ["scripts/convert_checkpoint.py", "model.pth", "other.pth"],
        "scene_graph_to_rels an array": ["scripts/scene_graph_to_rels.py", "--graphs",
                                         "graphs.jsonl", "--data", "rels", "--split", "test"],
        "draw_retrieval --out embeddings": [
            "scripts/draw_retrieval.py", "--embeddings", "embeddings.safetensors", "--data",
            "data/scenes_precomp", "--out", "embeddings.safetensors"],
        "eval_ensemble a hard link": ["eval_ensemble.py", "results.safetensors", "hard"],
        "eval_ensemble infinite weights": [*ensemble, "--weights", "1e308", "1e308"],
        "eval_ensemble NaN weights": [*ensemble, "--weights", "nan", "1"],
    }  # fmt: skip
    for name, words in commands_of.items():
        for link in ("", "link", "hard link") if "--" in name else ("",):

            def prepare(folder: Path, words: Any = words, link: str = link) -> list[str]:
                for copy, source in copies.items():
                    shutil.copy(source, folder / copy)
                (folder / "data").mkdir()
                for dataset in ("scenes_precomp", "scenes_b_precomp"):
                    shutil.copytree(shared.root / dataset, folder / "data" / dataset)
                os.link(folder / "results.safetensors", folder / "hard")
                folders(folder / "data", shared)
                (folder / "rels").symlink_to(folder / "data" / "rels")
                shutil.copy(shared.root / "graphs.jsonl", folder)
                theirs = np.ones((5, 4, 4), np.uint8)
                np.save(folder / "data" / "rels" / "test_rels.npy", theirs)
                *rest, last = words
                if link and (folder / last).exists():
                    new = folder / "new_name"
                    if link == "link":
                        new.symlink_to(folder / last)
                    else:
                        os.link(folder / last, new)
                    last = "new_name"
                exists = {word for word in (*rest, last) if (folder / word).exists()}
                paths = exists | {"new", "./new"}
                found = [str(folder / w) if w in paths else w for w in (*rest, last)]
                return [f"{folder}/./new" if word == "./new" else word for word in found]

            yield Case(f"{name} {link}".strip(), prepare)
