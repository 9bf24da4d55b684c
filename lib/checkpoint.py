"""Checkpoint files: our own format, and whatever else is read as a checkpoint."""

import argparse
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from lib.arguments import dataset_problem
from lib.config import Config, from_dict
from lib.errors import InputError, few, first_line
from lib.files import atomic_write
from lib.models import FAMILIES, build_model, family_of
from lib.models.common.hub import HUB, is_hub_word, local_folder, model_type
from lib.models.common.retrieval_model import RetrievalModel
from lib.models.family import Tokenizer
from lib.portable import is_portable, read_portable
from lib.weights import read_torch, require_same_dtypes, require_same_shapes, shapes_of

FORMAT = "image-sentence retrieval"
VERSION = 2
BEST = "model_best.pth"  # of a run's folder
PARTS = ("config", "model", "tokenizer", "progress", "training", "released")


class _Extractor(BaseModel):
    """As :meth:`lib.data.provenance.Provenance.extracted_by` gives it."""

    model_config = ConfigDict(strict=True, extra="forbid")
    extractor: str
    weights: str
    sha256: str | None
    preprocessing: Any


class _Progress(BaseModel):
    """What ``progress`` may hold; a run of ours has all of it."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")
    epoch: int = Field(0, ge=0)
    step: int = Field(0, ge=0)
    updates: int = Field(0, ge=0)
    rsum: float | None = None
    best_rsum: float = -1.0
    best_epoch: int | None = None
    extractors: dict[str, _Extractor] = {}
    splits: dict[str, str | dict[str, str]] = {}  # earlier versions had one checksum each


@dataclass
class Checkpoint:
    """Weights and what belongs to them, whichever file they came from."""

    config: Config
    model: dict[str, Tensor]
    tokenizer: dict[str, Any] = field(default_factory=dict)  # Tokenizer.state
    progress: dict[str, Any] = field(default_factory=dict)  # epoch, step, rsum, best_rsum
    training: dict[str, Any] | None = None  # optimiser and random states; None: not resumable
    released: dict[str, Any] | None = None  # metadata of a released file, as plain values
    is_released: bool = False  # read from the release's format

    @property
    def title(self) -> str:
        """The model's name in tables."""
        return family_of(self.config.model).title(self.config.model)

    @property
    def source(self) -> str | None:
        """The dataset it was trained on; None where a released file does not say."""
        if self.released is not None and _dataset_of(self.released.get("opt")) is None:
            return None
        return self.config.data.dataset

    @property
    def locations(self) -> set[str]:
        """The settings that say where files are that this model needs."""
        return family_of(self.config.model).locations_of(self.config.model, self.tokenizer)

    def relocated(self, locations: Mapping[str, str | None]) -> "Checkpoint":
        """The same with files of the model in other places, setting by setting. Raises InputError:
        the family has no such setting."""
        if unknown := locations.keys() - self.locations:
            raise InputError(
                f"--{min(unknown)} does not apply to {self.title}, which needs no such file"
            )
        model = self.config.model.model_copy(update=locations)
        return replace(self, config=self.config.model_copy(update={"model": model}))


def checkpoint_of(run: Path) -> Path:
    """A run's folder -> its best checkpoint; a checkpoint's file -> itself. Raises InputError:
    neither, or a model of the hub."""
    if is_hub_word(run) or (run.is_dir() and is_model_folder(run) and not (run / BEST).is_file()):
        word = re.sub(r"^hf:/+", HUB, str(run))
        raise InputError(f"{word}: is a model of the hub; this program needs a run of train.py")
    if run.is_dir():
        found = run / BEST
        if not found.is_file():
            raise InputError(f"{run}: holds no {BEST}; is it a run of train.py?")
        return found
    if not run.is_file():
        raise InputError(f"{run}: no such run or checkpoint")
    return run


def source_of(word: str | Path) -> str:
    """What :func:`load_checkpoint` reads for a user's word: the best checkpoint of a run's folder;
    a checkpoint's file, a model of the hub (``hf://NAME``) and a folder of one as they are. Raises
    InputError: a folder of something else."""
    if not str(word):
        raise InputError("the name of the checkpoint is empty")
    path = Path(word)
    if is_hub_word(word) or not path.is_dir():
        return str(word)
    is_run = (path / BEST).is_file() or not is_model_folder(path)
    return str(checkpoint_of(path) if is_run else path)


def is_model_folder(folder: Path) -> bool:
    """Whether a folder is in the layout of the hub's models, ours or others'."""
    return is_portable(folder) or model_type(folder) is not None


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write our own format atomically. Raises InputError: it cannot be written."""
    parts = {name: getattr(checkpoint, name) for name in PARTS}
    parts["config"] = checkpoint.config.to_dict()
    write_torch(path, {"format": FORMAT, "version": VERSION, **parts})


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read our own format, a released file, or a model of the hub, tensors on the CPU. Raises
    InputError: no such file, cut short, unsafe content, or another architecture."""
    if is_hub_word(path) or Path(path).is_dir():
        return _load_folder(local_folder(str(path)), str(path))
    raw = read_torch(path, "checkpoint", "expected a run's folder, a file, or hf://NAME")
    if isinstance(raw, dict) and "format" in raw:
        kind = f"{raw['format']} {raw.get('version')}"
        if kind != f"{FORMAT} {VERSION}":
            raise InputError(
                f"{path}: was written by another version of this code (format {kind!r}, expected "
                f"'{FORMAT} {VERSION}'); train anew, or use the code that wrote it"
            )
        if missing := [part for part in PARTS if part not in raw]:
            raise InputError(f"{path}: lacks {', '.join(missing)}")
        config = from_dict(raw["config"], str(path))
        if why := family_of(config.model).outdated(raw["config"].get("model", {})):
            raise InputError(f"{path}: {why}; train anew, or use the code that wrote it")
        _require_types(raw, path)
        return Checkpoint(config, **{part: raw[part] for part in PARTS[1:]})
    states = raw.get("model") if isinstance(raw, dict) else None
    if isinstance(states, list) and all(isinstance(state, dict) for state in states):
        for family in FAMILIES.values():
            if family.released is not None and family.released.recognises(states):
                return _load_released(raw, family.name, path)
    found = f"a dict with {few(map(str, raw))}" if isinstance(raw, dict) else type(raw).__name__
    problem = "is neither a checkpoint of this project nor a released one that it knows"
    raise InputError(f"{path}: {problem} (found {found})")


def _load_folder(folder: Path, name: str) -> Checkpoint:
    """A model of the hub, or of a folder like those there, which users know by ``name``."""
    if is_portable(folder):
        config, parts = read_portable(folder, name)
        if why := family_of(config.model).outdated(config.model.model_dump()):
            raise InputError(f"{name}: {why}")
        _require_types({"training": None, "released": None, **parts}, name)
        return Checkpoint(config, **parts)
    for family in FAMILIES.values():
        if (found := family.from_hub(folder, name)) is not None:
            sections = {"model": found.config.model_dump(), "features": found.features}
            config = from_dict(sections, name)
            return Checkpoint(config, found.state, found.tokenizer, released={}, is_released=True)
    raise InputError(
        f"{name}: is of {model_type(folder) or 'no model'}, expected one of a family that is known "
        "here, or a run's folder"
    )


def _require_types(raw: dict[str, Any], path: str | Path) -> None:
    """Refuse a checkpoint of ours whose parts are of other types, by their names."""
    model, progress = raw["model"], raw["progress"]
    state = isinstance(model, dict) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in model.items()
    )
    if not state:
        raise InputError(f"{path}: is damaged: model is not a dict of tensors")
    for part in ("tokenizer", "progress"):
        if not isinstance(raw[part], dict):
            raise InputError(f"{path}: is damaged: {part} is not a dict")
    for part in ("training", "released"):
        if raw[part] is not None and not isinstance(raw[part], dict):
            raise InputError(f"{path}: is damaged: {part} is not a dict")
    try:
        if raw["released"] is None:
            _Progress.model_validate(progress)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("progress", *first["loc"])))
        raise InputError(f"{path}: is damaged: {where}: {first['msg']}") from None
    missing = sorted(_Progress.model_fields.keys() - progress.keys())
    if raw["training"] is not None and missing:
        raise InputError(f"{path}: is damaged: progress lacks {', '.join(missing)}")


def holds_checkpoint(path: Path) -> bool:
    """Whether a file is a checkpoint of ours, by its first member and without its tensors."""
    try:
        with zipfile.ZipFile(path) as file:
            (name,) = (name for name in file.namelist() if name.endswith("/data.pkl"))
            with file.open(name) as member:
                return FORMAT.encode() in member.read(1 << 20)
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def load_tokenizer(checkpoint: Checkpoint, path: str | Path, root: str | Path) -> Tokenizer:
    """The tokenizer of a checkpoint read from ``path``; files that it needs are sought beside it
    and in ``vocab/`` of the data's folder ``root``. Raises InputError: not found."""
    config, folders = checkpoint.config.model, (Path(path).parent, Path(root) / "vocab")
    try:
        return family_of(config).tokenizer(config, None, checkpoint.tokenizer, folders)
    except InputError as error:
        if checkpoint.is_released and checkpoint.tokenizer:  # it is what names the missing file
            raise InputError(f"{path}: {error}") from error
        raise


def load_model(
    checkpoint: Checkpoint, path: str | Path, root: str | Path = "data"
) -> tuple[RetrievalModel, Tokenizer]:
    """The model of a checkpoint of either format on the CPU, and its tokenizer, both as
    :func:`load_tokenizer` and :func:`load_weights` have it. Raises InputError: files of the text
    side are not found, or tensors do not fit."""
    tokenizer = load_tokenizer(checkpoint, path, root)
    model = build_model(checkpoint.config.model, tokenizer, pretrained=False)
    load_weights(model, checkpoint, path)
    return model, tokenizer


def load_weights(model: nn.Module, checkpoint: Checkpoint, path: str | Path) -> None:
    """Copy the checkpoint's tensors into ``model``, all of them or none. Raises InputError:
    missing, unexpected or differently shaped tensors, by name."""
    shapes = shapes_of(checkpoint.model)
    own, source = model.state_dict(), f"{path}: does not fit the model"
    require_same_shapes(shapes_of(own), shapes, source)
    require_same_dtypes(own, checkpoint.model, source)
    model.load_state_dict(checkpoint.model)


def _load_released(raw: dict[str, Any], name: str, path: str | Path) -> Checkpoint:
    layout = FAMILIES[name].released
    assert layout is not None
    opt = vars(raw["opt"]) if isinstance(raw.get("opt"), argparse.Namespace) else {}
    try:
        found = layout.read(raw["model"], opt)
    except KeyError as error:
        raise InputError(f"{path}: lacks {error.args[0]}, which every released file has") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is not a released checkpoint ({first_line(error)})") from error
    expected, shapes = (
        {layout.released_name(key): shape for key, shape in each.items()}
        for each in (found.shapes, shapes_of(found.state))
    )
    require_same_shapes(expected, shapes, f"{path}: does not fit the model")
    metadata = {str(k): _plain(value) for k, value in raw.items() if k not in ("model", "opt")}
    metadata |= {"opt": _plain(opt), "extras": found.extras}
    dataset = _dataset_of(opt)
    data = {"dataset": dataset} if dataset else {}
    train = {"margin": opt.get("margin", 0.2)}
    sections = {"data": data, "model": found.config.model_dump(), "train": train}
    sections["features"] = found.features
    config = from_dict(sections, str(path))
    progress = {"epoch": metadata.get("epoch"), "best_rsum": metadata.get("best_rsum")}
    parts = (config, found.state, found.tokenizer, progress)
    return Checkpoint(*parts, released=metadata, is_released=True)


def _dataset_of(opt: Any) -> str | None:
    """The dataset that a released file's options name, as in ``data_name="coco_precomp"``."""
    named = str(opt.get("data_name")) if isinstance(opt, dict) else ""
    known = re.fullmatch(r"(coco|f30k)(_.*)?|(.+)_precomp", named)
    dataset = (known[1] or known[3]) if known else None
    return dataset if dataset and dataset_problem(dataset) is None else None


def _plain(value: Any) -> Any:
    """NumPy scalars as Python numbers, containers rebuilt; anything else as text."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, int | float | str | Tensor | None) else str(value)


def write_torch(path: str | Path, content: dict[str, Any]) -> None:
    """Write a PyTorch file atomically. Raises InputError: it cannot be written."""
    with atomic_write(path) as temporary:
        while True:
            try:
                torch.save(content, temporary)
                return
            except RuntimeError as error:  # so torch reports a full disk, without saying so
                # A loading worker that a signal ended is reported wherever the process is: save
                # all the same. Each is reported once.
                if not str(error).startswith("DataLoader worker"):
                    raise OSError(f"is the disk full? {first_line(error)}") from error
