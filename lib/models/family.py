"""The contract of a model family: all that the rest of the house may ask of one.

A family is a folder, ``lib/models/<family>/``, and one line of the registry (``lib/models``). This
file and the families' settings need no torch, so that tables and ensembles do without it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

if TYPE_CHECKING:
    from lib.models.common.retrieval_model import RetrievalModel

State = dict[str, Any]  # names and tensors, as ``state_dict`` gives them
Plain = dict[str, Any]  # plain values, as JSON keeps them
Arrays = dict[str, np.ndarray]
BACKBONES = (
    "resnet18", "resnet50", "resnet101", "resnet152", "resnext101_32x8d", "resnet50_caffe",
    "resnet101_caffe", "resnet152_caffe",
)  # fmt: skip
TIMM = "timm:"  # begins the name of a backbone of timm's
IMAGENET = "imagenet"  # stands for the weights of torchvision, or of timm, for a backbone


def _number(value: Any) -> Any:
    """YAML 1.1 reads 5e-4 as text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


Float = Annotated[float, BeforeValidator(_number)]


class Settings(BaseModel):
    """A section of the config: typed, bounded, frozen; unknown keys are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, str_min_length=1
    )

    @field_validator("*", mode="before")
    @classmethod
    def _printable(cls, value: Any, info: ValidationInfo) -> Any:
        """No path or name holds a control character."""
        if isinstance(value, str) and any(ord(sign) < 32 for sign in value):
            raise ValueError(f"{info.field_name} holds a control character: {value!r}")
        return value


def setting(default: Any, meaning: str, ge: float | None = None, le: float | None = None) -> Any:
    """A field with one line of meaning, and its bounds, included."""
    return Field(default, description=meaning, ge=ge, le=le)


def backbone_problem(name: str) -> str | None:
    """What is wrong with the name of a backbone; None: nothing. Whether timm knows a network is
    not asked."""
    if name in BACKBONES or (name.startswith(TIMM) and len(name) > len(TIMM)):
        return None
    return f"expected one of {', '.join(BACKBONES)}, or {TIMM}NAME"


class FamilyConfig(Settings):
    """The settings that every family has; a family adds its own."""

    family: str
    img_dim: int = setting(2048, "channels of a region or grid cell", ge=1)
    backbone: str | None = setting(
        None,
        f"network that makes grids of features.type=images: {', '.join(BACKBONES)}, or {TIMM}NAME",
    )
    backbone_weights: str = setting(
        IMAGENET, "imagenet (torchvision's, or timm's), random, or a file like X-101.pth"
    )
    backbone_pixels: Literal["imagenet", "detectron2", "caffe"] | None = setting(
        None,
        "how pixels are normalised; null: imagenet for its weights, as timm says for a "
        "network of its own, else detectron2",
    )

    @field_validator("backbone")
    @classmethod
    def _known_backbone(cls, value: str | None) -> str | None:
        if value is not None and (problem := backbone_problem(value)):
            raise ValueError(f"model.backbone is {value!r}, {problem}")
        return value


@dataclass(frozen=True)
class Input:
    """An array that a family reads beside the features, ``<split>_<stem>.npy``."""

    name: str  # in ``ImageBatch.arrays``
    stem: str
    shape: tuple[int | None, ...]  # of one image's entry; None: any size
    meaning: str  # of the axes, for errors
    region_axes: int = 0  # how many first axes are regions, of which training drops some: 0, 1 or 2
    problem: Callable[[np.ndarray], str | None] | None = None  # what is wrong with an entry
    needed_by: str = ""  # for the error where the file is missing, with what trains without it


class PictureReader(ABC):
    """What a family that reads pictures itself makes of one, in the loading processes."""

    description: str  # for readers, as in "224 x 224 pixels"

    @abstractmethod
    def __call__(self, picture: Any) -> np.ndarray:
        """A PIL image, 8-bit RGB of any size -> (3, S, S) float32, S the same for all."""


class Window(Protocol):
    """The part of a picture that training from pixels sees."""

    def label_map(self, labels: np.ndarray) -> np.ndarray: ...
    def shares(self, semantic: np.ndarray) -> np.ndarray: ...


class Tokenizer(Protocol):
    """Captions to ids, and what augmentation may write in their place."""

    prefix: tuple[int, ...]  # ids that begin every caption, such as [CLS]
    suffix: tuple[int, ...]  # ids that end every caption, such as [SEP]
    padding_id: int
    mask_id: int
    unknown_id: int | None = None  # of a word that the vocabulary lacks, if it has such an id
    random_ids: tuple[int, int]  # a random replacement is drawn from [low, high)
    begins_word: np.ndarray  # (vocabulary,) bool; false for WordPieces that continue a word
    max_length: int  # of a caption in ids, with prefix and suffix
    notes: tuple[str, ...] = ()  # what a reader should know of it

    def encode(self, captions: Sequence[str]) -> list[list[int]]:
        """Each caption's ids, without prefix and suffix, uncut."""
        ...

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """What each id stands for, for readers."""
        return [str(number) for number in ids]

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep to make the same tokenizer again, as plain values."""
        ...

    def vocabulary_file(self) -> str | None:
        """The content of ``vocab.json`` in a run's folder, if the run has its own vocabulary."""
        return None


@dataclass(frozen=True)
class Whole:
    """A model whose versions are trained apart; its scores are their mean."""

    title: str
    part: str  # this version
    parts: tuple[str, ...]  # all versions, each once


@dataclass(frozen=True)
class ReleasedModel:
    """A released checkpoint's model under our names."""

    config: FamilyConfig
    state: State
    shapes: dict[str, tuple[int, ...]]  # what the model expects
    features: Plain = field(default_factory=dict)  # of the features section, where it tells them
    extras: dict[str, Any] = field(default_factory=dict)  # plain; kept for the way back
    tokenizer: Plain = field(default_factory=dict)  # the state that the tokenizer is made from


class ReleasedLayout(ABC):
    """A family's layout of publicly released states, read strictly and written back exactly."""

    @abstractmethod
    def recognises(self, states: Sequence[State]) -> bool:
        """Whether a file's ``model``, a list of states, is of this family."""

    @abstractmethod
    def read(self, states: Sequence[State], opt: dict[str, Any]) -> ReleasedModel:
        """Our settings, names and tensors of a file's states and options; unknown tensors keep
        their names, to be reported. Raises KeyError: a tensor lacks that a size is read from.
        Raises ValueError: the states are not as the layout says."""

    @abstractmethod
    def write(
        self, config: Any, features: Plain, state: State, extras: Plain
    ) -> tuple[list[State], Plain]:
        """The released states, and the options that say what ``config`` and the ``features``
        section say."""

    @abstractmethod
    def released_name(self, key: str) -> str:
        """The released name of one of our tensors, for errors."""

    @abstractmethod
    def refusal(self, config: Any) -> str | None:
        """What the layout has no place for, or None."""

    def files(self, tokenizer: Plain, opt: Plain) -> dict[str, str]:
        """Name and content of what belongs beside a released file: what ``tokenizer``, a state,
        keeps and the layout has no place for."""
        return {}


class Family(ABC):
    """One family; ``config`` is always its own ``Config``."""

    name: ClassVar[str]
    Config: ClassVar[type[FamilyConfig]]
    # Settings that only say where files are, with a line for the programs' option of that name:
    # they may differ when a run is resumed or evaluated.
    locations: ClassVar[Mapping[str, str]] = {}
    # Whether its models score pairs: then there is no vector per image to search among.
    pairwise: ClassVar[bool] = False
    # Whether train.py trains it; false: its weights are published, and are scored as they are.
    trains: ClassVar[bool] = True

    @property
    def released(self) -> ReleasedLayout | None:
        """The layout of its public checkpoints, if there are any."""
        return None

    @abstractmethod
    def title(self, config: Any) -> str:
        """The model's name in tables: an ablation never passes for the whole."""

    def whole(self, config: Any) -> Whole | None:
        """The model that this one is a version of, if it is."""
        return None

    def locations_of(self, config: Any, state: Plain) -> set[str]:
        """Those of ``locations`` at which a checkpoint's model needs files; ``state`` is what the
        checkpoint keeps of the tokenizer."""
        return set(self.locations)

    def outdated(self, settings: Plain) -> str | None:
        """Why a checkpoint of ours whose ``model`` settings are these no longer means what this
        code computes; None: it still does."""
        return None

    def from_hub(self, folder: Path, name: str) -> ReleasedModel | None:
        """The model that a ``folder`` in the layout of transformers holds, known to users by
        ``name``; None: it is not of this family. Raises InputError: it is, and is damaged."""
        return None

    def picture_reader(self, config: Any) -> PictureReader | None:
        """How it reads pictures itself; None: a backbone reads them for it. Raises InputError: its
        files are not found."""
        return None

    def travelling(self, config: Any, tokenizer: Tokenizer) -> dict[str, dict[str, str]]:
        """What a model's text side is made from, to go where its weights go: setting -> name and
        content of the files that it names; none where a checkpoint keeps all of it."""
        return {}

    def inputs(self, config: Any) -> Sequence[Input]:
        """The arrays it reads beside the features."""
        return ()

    def regions(self, config: Any) -> int | None:
        """How many regions, or cells, every image must have, of which training drops none; None:
        any number."""
        return None

    def seen_through(self, window: Window, arrays: Arrays) -> Arrays:
        """One image's arrays as training from pixels sees them, cropped and mirrored."""
        return arrays

    @abstractmethod
    def tokenizer(
        self,
        config: Any,
        captions: Sequence[str] | None = None,
        state: dict[str, Any] | None = None,
        folders: Sequence[Path] = (),
    ) -> Tokenizer:
        """The text side's tokenizer: of a new run, which may build a vocabulary from its training
        ``captions``, or of a checkpoint's ``state``, whose files are in one of ``folders``. Raises
        InputError: its files are not found."""

    @abstractmethod
    def build(self, config: Any, tokenizer: Tokenizer, pretrained: bool) -> RetrievalModel:
        """The model, without a backbone, for the ids of ``tokenizer``; ``pretrained=False`` leaves
        all weights random, for a checkpoint that brings its own. Raises InputError: weights or
        their config are unavailable."""


def without(parts: dict[str, bool]) -> str:
    """The end of an ablation's title: " without A and B", of the parts that are off."""
    missing = " and ".join(name for name, on in parts.items() if not on)
    return f" without {missing}" if missing else ""
