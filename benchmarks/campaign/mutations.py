"""Mutated files: every format that is read, with flipped bits, cuts and odd words, by seed."""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.campaign.server import Case, Done, program, run_forked, verdict
from benchmarks.campaign.world import Shared

WORDS = (b"NaN", b"null", b"-1", b"99999999999999999999", b"1e999", b"\0", b"\xff\xfe", b"[[[[",
         b'"', b"{", b"true", b"\n", b"")  # fmt: skip


@dataclass(frozen=True)
class Format:
    """A kind of file. ``action`` gets a folder that holds a copy of ``files``, of which the first
    is mutated, and prints what it read; ``silent``: a change may not go unnoticed."""

    name: str
    files: tuple[Path, ...]
    action: Callable[[Path], object]
    silent: bool = False


def mutated(content: bytes, generator: np.random.Generator) -> bytes:
    """One change of a file: a bit, a few bits, a cut, a piece gone or twice, or a word put in."""
    kind, size = generator.integers(7), len(content)
    place = int(generator.integers(max(size, 1)))
    if kind <= 1:  # half of a binary file's first bytes are its structure
        place = int(generator.integers(min(size, 400))) if generator.random() < 0.3 else place
        count = 1 if kind == 0 else int(generator.integers(2, 9))
        changed = bytearray(content)
        for _ in range(count):
            changed[min(place, size - 1)] ^= 1 << int(generator.integers(8))
            place = int(generator.integers(size))
        return bytes(changed)
    length = int(generator.integers(1, 1 + max(1, min(size, 200))))
    if kind == 2:
        return content[:place]
    if kind == 3:
        return content[:place] + content[place + length :]
    if kind == 4:
        return content[: place + length] + content[place:]
    word = WORDS[int(generator.integers(len(WORDS)))]
    if kind == 5 and (numbers := list(re.finditer(rb"[\w.+-]+", content[:100_000]))):
        found = numbers[int(generator.integers(len(numbers)))]
        return content[: found.start()] + word + content[found.end() :]
    return content[:place] + word + content[place:]


def _digest(*parts: object) -> None:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    print(digest.hexdigest())


def formats(shared: Shared) -> list[Format]:
    """Everything that a command reads."""
    data, run, root = shared.data, shared.run, shared.root

    def checkpoint(folder: Path, name: str, **locations: str) -> None:
        from lib.checkpoint import load_checkpoint, load_model

        places = locations or {"bert": str(shared.bert)}
        found = load_checkpoint(folder / name).relocated(places)
        model, _ = load_model(found, folder / name)
        weights = [value.numpy() for value in model.state_dict().values()]
        optimizer = (found.training or {}).get("optimizer", {"state": {}})["state"]
        moments = [value.numpy() for state in optimizer.values() for value in state.values()]
        _digest(*weights, *moments, found.progress, found.config.flat())

    def scores(folder: Path, name: str) -> None:
        from lib.evaluation.scores import SavedScores

        found = SavedScores(folder / name)
        _digest(found[:], found.image_ids, found.origin, found.dataset, found.split)

    def embeddings(folder: Path) -> None:
        from lib.evaluation.scores import read_embeddings

        _digest(*read_embeddings(folder / "embeddings.safetensors"))

    def split(folder: Path) -> None:
        from lib.config import load_config
        from lib.data.split import open_split

        _whole(folder, data)
        found = open_split(load_config(folder / "config.yaml", [f"data.root={folder}"]), "test")
        for image in range(len(found.image_ids)):
            found.features[image]
            for array in found.arrays.values():
                array[image]

    def grids(folder: Path) -> None:
        from lib.config import FeaturesConfig
        from lib.data.feature_files import FeatureFiles

        features = FeaturesConfig(type="grid", folder="x", grid_size=None)
        _ = FeatureFiles(folder, [_first(data)], 16, features)[0]

    def check(folder: Path) -> None:
        (folder / "scenes_precomp" / "packed").mkdir(parents=True)
        for name in ("test.npy", "test.json"):
            shutil.move(folder / name, folder / "scenes_precomp" / "packed" / name)
        _whole(folder, data)
        words = ["--splits", "test", f"data.root={folder}", "features.type=grid"]
        words += ["features.folder=packed", "features.grid_size=null", "--config"]
        program(["scripts/check_data.py", *words, str(folder / "config.yaml")])()

    def bert(folder: Path) -> None:
        program(shared.evaluate(shared.checkpoint, "--bert", folder))()

    def command(*words: str) -> Callable[[Path], object]:
        def action(folder: Path) -> None:
            (folder / "test_ids.txt").write_text((data / "test_ids.txt").read_text())
            program([word.replace("@", str(folder)) for word in words])()

        return action

    config, berts = run / "config.yaml", [shared.bert / n for n in ("config.json", "vocab.txt")]
    picture = data / "images" / f"{_first(data)}.png"
    panoptic = root / "panoptic"
    return [
        Format("checkpoint", (run / "model_best.pth",), lambda f: checkpoint(f, "model_best.pth"),
               silent=True),
        Format("checkpoint to resume", (run / "checkpoint.pth",),
               lambda f: checkpoint(f, "checkpoint.pth"), silent=True),
        Format("released checkpoint", (root / "released.pth",),
               lambda f: checkpoint(f, "released.pth"), silent=True),
        Format("released LHSC", (shared.lhsc,), lambda f: checkpoint(
            f, shared.lhsc.name, vocab=str(root / "lhsc_vocab.json")), silent=True),
        Format("LHSC's vocabulary", (root / "lhsc_vocab.json", shared.lhsc), lambda f: checkpoint(
            f, shared.lhsc.name, vocab=str(f / "lhsc_vocab.json"))),
        Format("scores", (run / "results.safetensors",), lambda f: scores(f, "results.safetensors"),
               silent=True),
        Format("embeddings", (run / "embeddings.safetensors",), embeddings, silent=True),
        Format("pack", (data / "packed" / "test.npy", data / "packed" / "test.json", config), check,
               silent=True),
        Format("pack's sidecar", (data / "packed" / "test.json", data / "packed" / "test.npy",
                                  config), check),
        *(Format(f".npy {stem}", (data / f"test_{stem}.npy", config), split)
          for stem in ("ims", "segmentations", "seg_maps", "cat_onehots")),
        *(Format(f"test_{kind}.txt", (data / f"test_{kind}.txt", config), split)
          for kind in ("caps", "ids")),
        Format("config.yaml", (config,), split),
        Format("grid file", (data / "grids" / f"{_first(data)}.npy",), grids),
        Format("BERT's config", (berts[0], berts[1]), bert),
        Format("BERT's vocabulary", (berts[1], berts[0]), bert),
        Format("record", (run / "results.json",), command("scripts/results_table.py", "@")),
        Format("panoptic.json", (panoptic / "panoptic.json",), command(
            "scripts/convert_panoptic.py", "--json", "@/panoptic.json", "--png",
            str(panoptic / "png"), "--data", "@", "--workers", "0")),
        Format("instances.json", (panoptic / "instances.json",), command(
            "scripts/convert_instances.py", "--annotations", "@/instances.json", "--out", "@/out")),
        Format("karpathy.json", (root / "karpathy.json",), command(
            "scripts/prepare_captions.py", "--karpathy", "@/karpathy.json", "--out", "@/out")),
        Format("table", (root / "table.tsv",), command(
            "scripts/prepare_captions.py", "--table", "@/table.tsv", "--images",
            str(data / "images"), "--out", "@/out")),
        Format("scene graphs", (root / "graphs.jsonl", data / "test_ims_bbx.npy"), command(
            "scripts/scene_graph_to_rels.py", "--graphs", "@/graphs.jsonl", "--data", "@",
            "--split", "test")),
        Format("boxes", (data / "test_ims_bbx.npy", root / "graphs.jsonl"), command(
            "scripts/scene_graph_to_rels.py", "--graphs", "@/graphs.jsonl", "--data", "@",
            "--split", "test")),
        Format("picture", (picture,), lambda f: _decode(f / picture.name)),
    ]  # fmt: skip


def _first(data: Path) -> str:
    return (data / "test_ids.txt").read_text().split()[0]


def _whole(folder: Path, data: Path) -> None:
    """The rest of the dataset, by links."""
    place = folder / "scenes_precomp"
    place.mkdir(exist_ok=True)
    for path in data.iterdir():
        if path.name.startswith("test_"):
            mine = folder / path.name
            (place / path.name).symlink_to(mine if mine.exists() else path)


def _decode(path: Path) -> None:
    from lib.data.pictures import PictureError, decode
    from lib.errors import InputError

    try:
        decode(path)
    except PictureError as error:
        raise InputError(f"{path}: {error}") from error


def mutate(kind: Format, count: int, seed: int, work: Path) -> Iterator[tuple[str, str | None]]:
    """Read ``count`` mutations of a format: (the mutation's name, what did not hold)."""
    from lib.errors import exit_on_error

    streams, folder = work / "streams", work / "files"
    streams.mkdir(parents=True, exist_ok=True)
    good = kind.files[0].read_bytes()

    def read(content: bytes) -> Done:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for path in kind.files:
            shutil.copy(path, folder / path.name)
        (folder / kind.files[0].name).write_bytes(content)

        def action() -> None:
            with exit_on_error():
                kind.action(folder)

        return run_forked(action, streams)

    expected = read(good)
    if expected.code:
        raise RuntimeError(f"{kind.name}: the whole file cannot be read: {expected.err}")
    for number in range(count):
        content = mutated(good, np.random.default_rng((seed, number)))
        if content == good:
            continue
        done = read(content)
        problem = verdict(Case(kind.name, lambda _: [], may_succeed=True), done)
        if problem is None and done.code == 0 and kind.silent and done.out != expected.out:
            problem = "was read as something else"
        if problem is None and done.code == 0 and kind.name == "pack":
            problem = "was checked as if it were whole"
        yield f"{kind.name}, seed {seed}, number {number}", problem
