"""A trained model as a folder that travels: what scripts/push_to_hub.py writes, and what
``hf://NAME`` is read from.

``model.safetensors``, ``config.yaml`` (without this machine's paths), the files that the text side
is made from, ``README.md`` (the model card), and ``manifest.json``, which has the checksum of each
file but the card, and what a checkpoint keeps beside its weights."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lib.config import Config, load_config
from lib.errors import InputError, first_line
from lib.files import atomic_write, file_sha256, is_file, read_json, text_sha256
from lib.models import family_of

FORMAT = "image-sentence retrieval folder 1"
MANIFEST, WEIGHTS, SETTINGS, CARD = "manifest.json", "model.safetensors", "config.yaml", "README.md"
# Progress that says something of the weights; the rest is for resuming.
KEPT = ("epoch", "step", "updates", "rsum", "best_rsum", "best_epoch", "extractors")


class _Manifest(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    format: str
    files: dict[str, str]  # name -> sha256
    tokenizer: dict[str, Any]
    progress: dict[str, Any]
    # Setting of the model -> the file or folder in here that it names.
    places: dict[str, str]
    card: str | None = None  # checksum of the card as it was generated


def is_portable(folder: Path) -> bool:
    """Whether a folder is one of ours."""
    return is_file(folder / MANIFEST)


def portable_config(config: Config, places: Mapping[str, str]) -> Config:
    """The settings without a trace of this machine: ``places`` says which files of the model travel
    along, and of any other absolute path the last part is left."""
    sections = config.to_dict()
    for values in sections.values():
        for key, value in values.items():
            if isinstance(value, str) and PurePath(value).is_absolute():
                values[key] = PurePath(value).name
    sections["data"]["root"] = "data"
    sections["model"] |= places
    return Config.model_validate(sections)


def write_portable(
    folder: Path,
    config: Config,
    state: Mapping[str, Tensor],
    tokenizer: Mapping[str, Any],
    progress: Mapping[str, Any],
    text_files: Mapping[str, Mapping[str, str]],
    card: str | None,
) -> list[str]:
    """Write the folder.

    Args:
        card: the model card; None: the one that is there stays.
        text_files: setting of the model -> name and content of the files that it names.

    Returns the files' names, the card's too. Raises InputError: the folder cannot be written."""
    places = {
        setting: setting if len(files) > 1 else f"{setting}/{next(iter(files))}"
        for setting, files in text_files.items()
    }
    contents = {
        f"{setting}/{name}": text
        for setting, files in text_files.items()
        for name, text in files.items()
    }
    contents[SETTINGS] = portable_config(config, places).to_yaml()
    with atomic_write(folder / WEIGHTS) as temporary:
        try:
            # contiguous: a tensor may be a view of a larger one
            save_file({k: v.contiguous() for k, v in state.items()}, temporary, {"format": "pt"})
        except Exception as error:  # safetensors has an exception of its own for a full disk
            raise OSError(first_line(error)) from error
    for name, text in contents.items():
        with atomic_write(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    names = [WEIGHTS, *contents]
    manifest = _Manifest(
        format=FORMAT,
        files={name: file_sha256(folder / name) for name in names},
        tokenizer=dict(tokenizer),
        progress={key: progress[key] for key in KEPT if key in progress},
        places=places,
        card=generated_card(folder) if card is None else text_sha256([card]),
    )
    with atomic_write(folder / MANIFEST) as temporary:
        temporary.write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    if card is not None:
        with atomic_write(folder / CARD) as temporary:
            temporary.write_text(card, encoding="utf-8")
    return [*names, MANIFEST, CARD]


def generated_card(folder: Path) -> str | None:
    """The checksum of the card that was generated for a folder, as its manifest has it."""
    if not is_portable(folder):
        return None
    try:
        return _Manifest.model_validate(read_json(folder / MANIFEST, "model's manifest")).card
    except (ValidationError, InputError):
        return None


def is_edited(folder: Path) -> bool:
    """Whether a folder's card is somebody's own work: there, and not as it was generated."""
    return is_file(folder / CARD) and file_sha256(folder / CARD) != generated_card(folder)


def read_portable(folder: Path, name: str) -> tuple[Config, dict[str, Any]]:
    """The settings of a folder, and the parts ``model``, ``tokenizer`` and ``progress`` of its
    checkpoint; ``name`` is what users know it by. Raises InputError: a file is missing, or is not
    the one that was written."""
    try:
        manifest = _Manifest.model_validate(read_json(folder / MANIFEST, "model's manifest"))
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise InputError(
            f"{name}: its {MANIFEST} is damaged, or of another version ({where}: "
            f"{error.errors()[0]['msg']})"
        ) from error
    if manifest.format != FORMAT:
        raise InputError(f"{name}: is of format {manifest.format!r}, expected {FORMAT!r}")
    for file, expected in manifest.files.items():
        if not _is_inside(file):
            raise InputError(f"{name}: its {MANIFEST} names {file!r}, which is no file in it")
        if not is_file(folder / file):
            raise InputError(f"{name}: lacks {file}; download or push it again")
        if file_sha256(folder / file) != expected:
            raise InputError(f"{name}: {file} differs from its checksum; download or push it again")
    if missing := {WEIGHTS, SETTINGS} - manifest.files.keys():
        raise InputError(f"{name}: its {MANIFEST} does not name {min(missing)}")
    if odd := [place for place in manifest.places.values() if not _is_inside(place)]:
        raise InputError(f"{name}: its {MANIFEST} names {odd[0]!r}, which is no file in it")
    for place in manifest.places.values():
        inside = (path for path in (folder / place).rglob("*") if path.is_file())
        own = {path.relative_to(folder).as_posix() for path in inside} or {place}
        if unlisted := own - manifest.files.keys():
            raise InputError(f"{name}: {min(unlisted)} has no checksum in its {MANIFEST}")
    try:
        state = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{name}: {WEIGHTS} cannot be read ({first_line(error)})") from error
    config = load_config(folder / SETTINGS, [])
    places = {setting: str(folder / place) for setting, place in manifest.places.items()}
    if unknown := places.keys() - family_of(config.model).locations.keys():
        raise InputError(f"{name}: its {MANIFEST} places {min(unknown)}, which names no file")
    model = config.model.model_copy(update=places)
    parts = {"model": state, "tokenizer": manifest.tokenizer, "progress": manifest.progress}
    return config.model_copy(update={"model": model}), parts


def _is_inside(name: str) -> bool:
    return bool(re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)*", name))
