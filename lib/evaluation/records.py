"""Records: one JSON file per evaluation, of a single model or an ensemble alike."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from lib.errors import InputError, first_line
from lib.evaluation.protocols import ProtocolResult
from lib.files import atomic_write, require_regular
from lib.models.family import Whole

UNKNOWN = "unknown"
ZERO_SHOT = "zero-shot"  # the source of a published model that is scored as it is
Results = list[ProtocolResult]


@dataclass(frozen=True)
class Origin:
    """What made a matrix of scores."""

    checkpoint: str = UNKNOWN
    model: str = UNKNOWN  # its title in tables, as in "VSE-infinity"
    features: str = UNKNOWN  # region, grid or images
    source: str = UNKNOWN  # the dataset it was trained on
    seed: int | None = None
    epoch: int | None = None  # that the weights are of, counted from 0
    config: dict[str, dict[str, Any]] | None = None  # of the training; features as scored
    whole: Whole | None = None  # the model that it is a version of
    revision: str | None = None  # the commit of a model of the hub
    first_stage: str | None = None  # the checkpoint that named the pairs it scored, if not all

    @property
    def title(self) -> str:
        """As in "VSE-infinity region"."""
        return self.model if self.features == UNKNOWN else f"{self.model} {self.features}"

    @property
    def identity(self) -> tuple[Any, ...]:
        """What tells one training and what it is given from another's, but for how long it went,
        and where its features are."""
        features = dict((self.config or {}).get("features") or {})
        features.pop("folder", None)
        stage = None if self.first_stage is None else os.path.realpath(self.first_stage)
        return self.model, self.features, self.source, self.seed, features, stage

    def is_cross_dataset(self, dataset: str) -> bool:
        """Whether ``dataset`` is another than the one trained on."""
        return self.source not in (dataset, UNKNOWN)


@dataclass(frozen=True)
class Member:
    """One model of an ensemble, with its own results."""

    name: str  # its file or checkpoint
    origin: Origin
    weight: float
    results: list[ProtocolResult]


@dataclass(frozen=True)
class Record:
    """The results of one model, or of the mean of several models' scores."""

    dataset: str
    split: str
    members: Annotated[list[Member], Field(min_length=1)]  # one for a single model
    results: Annotated[list[ProtocolResult], Field(min_length=1)]
    format: Literal["image-sentence results 2"] = "image-sentence results 2"

    @property
    def origins(self) -> list[Origin]:
        """The members' origins."""
        return [member.origin for member in self.members]


_RECORD: TypeAdapter[Record] = TypeAdapter(Record)
ORIGIN: TypeAdapter[Origin] = TypeAdapter(Origin)
Evaluated = tuple[str, str, str]  # checkpoint, dataset, split


def single_record(origin: Origin, dataset: str, split: str, results: Results) -> Record:
    """A single model's record."""
    return Record(dataset, split, [Member(origin.checkpoint, origin, 1.0, results)], results)


def write_record(path: str | Path, record: Record) -> None:
    """Write a record; raises InputError where the file cannot be written."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(_RECORD.dump_json(record, indent=1) + b"\n")


def read_record(path: Path) -> Record | None:
    """A record, or None for a JSON file of something else. Raises InputError: the file cannot be
    read, or is a damaged record."""
    require_regular(path, "a record")
    try:
        text = path.read_bytes()
        found = TypeAdapter(Any).validate_json(text)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is not a readable JSON file ({first_line(error)})") from error
    if not isinstance(found, dict) or "results" not in str(found.get("format")):
        return None
    try:
        return _RECORD.validate_json(text)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise InputError(
            f"{path}: is damaged, or of another version ({where}: {error.errors()[0]['msg']}); "
            "evaluate again"
        ) from error


def require_same_evaluation(
    path: Path, found: tuple[Origin, str, str] | None, wanted: Evaluated, origin: Origin
) -> None:
    """Refuse to replace what is not results (None), or those of another evaluation: of another
    dataset or split, of another checkpoint, or of another training or other features that went by
    the same name. Raises InputError."""
    if found is None:
        raise InputError(f"{path}: is there and holds no results; choose another name")
    theirs, dataset, split = found
    same_file = os.path.realpath(theirs.checkpoint) == os.path.realpath(wanted[0])
    if not same_file or (dataset, split) != wanted[1:] or theirs.identity != origin.identity:
        raise InputError(
            f"{path}: holds results of {theirs.checkpoint}, {theirs.title} of seed {theirs.seed}, "
            f"on {dataset} {split}; choose another place for these (OUT=FOLDER for "
            "scripts/eval_*.sh), or remove them"
        )


def require_replaceable_record(wanted: Evaluated, origin: Callable[[], Origin], path: Path) -> None:
    """The rule for a record's output: an earlier one of the same evaluation; ``origin`` tells what
    is about to be scored."""
    record, found = _record_or_none(path), None
    if record is not None and len(record.members) == 1:
        found = (record.origins[0], record.dataset, record.split)
    require_same_evaluation(path, found, wanted, origin())


def require_members(
    members: Sequence[str], weights: Sequence[float], about: tuple[str, str] | None, path: Path
) -> None:
    """The rule for an ensemble's record: an earlier one of the same members and weights and, where
    they are known, of the same dataset and split."""
    record = _record_or_none(path)
    given = [] if record is None else [(m.name, m.weight) for m in record.members]
    pairs = given, list(zip(members, weights, strict=True))
    found, wanted = ({os.path.realpath(n): round(w, 6) for n, w in part} for part in pairs)
    other = record is not None and about not in (None, (record.dataset, record.split))
    if found != wanted or other:
        raise InputError(
            f"{path}: is there and holds no record of these members, weights, dataset and split; "
            "choose another name"
        )


def _record_or_none(path: Path) -> Record | None:
    with suppress(InputError):
        return read_record(path)
    return None
