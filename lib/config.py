"""The config of a run: typed sections from YAML, with ``section.key=value`` overrides.

The ``model:`` section is the settings class of the family that ``model.family`` names.
"""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import Field, SerializeAsAny, ValidationError, model_validator
from pydantic.fields import FieldInfo

from lib.errors import InputError
from lib.models import DEFAULT, FAMILIES, family_of
from lib.models.family import FamilyConfig, Float, Settings

Dataset = Literal["coco", "f30k", "mine", "scenes", "scenes_b"]
FeatureType = Literal["region", "grid", "images"]
Precision = Literal["fp32", "tf32", "bf16"]
Device = Literal["auto", "cpu", "cuda"]
DATASETS: tuple[str, ...] = get_args(Dataset)
PRECISIONS: tuple[str, ...] = get_args(Precision)
TYPES = {bool: "true or false", int: "integer", float: "number", str: "text", type(None): "null"}


class DataConfig(Settings):
    """Where the files are, and how captions are read."""

    root: str = Field("data", description="holds <dataset>_precomp/ or <dataset>/precomp/")
    dataset: Dataset = Field("f30k", description="which dataset")
    workers: int = Field(4, ge=0, description="loading processes, at most one per core")
    word_augment: Float = Field(
        0.2, ge=0, le=1, description="share of words masked, replaced or deleted in training"
    )


class FeaturesConfig(Settings):
    """The image rows: detected regions, or grid cells, from files or made from pictures."""

    type: FeatureType = Field(
        "region", description="regions, cells of a grid, or pictures (training from pixels)"
    )
    folder: str | None = Field(
        None, description="of one file per image, in the dataset's folder; null: *_ims.npy"
    )
    regions: int | None = Field(None, ge=1, description="rows of every image; null: any number")
    grid_size: int | None = Field(
        7, ge=1, description="maps are pooled to this side; null: all cells are kept"
    )
    drop: Float = Field(0.2, ge=0, le=1, description="rate at which training drops rows")
    drop_scheme: Literal["each", "vse_infinity"] = Field(
        "each", description="each: all rows at that rate; vse_infinity: a random rate per image"
    )
    image_size: int = Field(512, ge=32, description="side in pixels of pictures (type=images)")
    crop: Float = Field(
        0.6, ge=0.01, le=1, description="smallest share of a side that training crops (type=images)"
    )
    flip: Float = Field(0.5, ge=0, le=1, description="rate at which training mirrors (type=images)")


class TrainConfig(Settings):
    """Optimisation; epochs are counted from 0."""

    epochs: int = Field(25, ge=1, description="number of epochs")
    batch_size: int = Field(128, ge=2, description="pairs in a batch, over all GPUs together")
    lr: Float = Field(5e-4, ge=0, description="learning rate of all that has no rate of its own")
    backbone_lr_scale: Float = Field(
        0.01, ge=0, description="the backbone's rate is train.lr times this"
    )
    backbone_epoch: int = Field(
        1, ge=0, description="the backbone learns from this epoch on, in which all rates warm up"
    )
    frozen_stages: int = Field(
        2, ge=0, le=4, description="first stages of the backbone that never learn; 0: all learns"
    )
    decay_epoch: int = Field(15, ge=1, description="epoch from which rates are multiplied by decay")
    decay: Float = Field(0.1, ge=0, description="factor on all rates from decay_epoch on")
    weight_decay: Float = Field(1e-4, ge=0, description="of AdamW")
    micro_batch: int | None = Field(
        None, ge=1, description="rows whose activations are kept at a time; null: the whole batch"
    )
    sync_batchnorm: bool = Field(
        False, description="on several GPUs: BatchNorm statistics of the whole batch"
    )
    clip: Float = Field(2.0, ge=0, description="largest gradient norm over all parameters")
    sum_epochs: int = Field(
        1, ge=0, description="first epochs on the sum form of the loss, the rest on the hardest"
    )
    margin: Float = Field(0.2, ge=0, description="margin of the triplet loss")
    precision: Precision = Field("fp32", description="of matrix products and convolutions")
    mask_same_image: bool = Field(
        False, description="captions of one image are not negatives of each other"
    )


class EvalConfig(Settings):
    """How scores are computed."""

    pair_memory_gb: Float = Field(
        2.0, ge=0.001, description="memory for a chunk of pairs, in a family that scores pairs"
    )


class RunConfig(Settings):
    """Where a run lives and what it starts from."""

    out: str = Field("runs/latest", description="the run's folder")
    seed: int = Field(0, ge=0, le=2**63 - 1, description="of weights, batches and augmentation")
    device: Device = Field("auto", description="auto: CUDA if available")


class Config(Settings):
    """Everything a training run is a function of."""

    data: DataConfig = DataConfig()
    features: FeaturesConfig = FeaturesConfig()
    model: SerializeAsAny[FamilyConfig]
    train: TrainConfig = TrainConfig()
    eval: EvalConfig = EvalConfig()
    run: RunConfig = RunConfig()

    @model_validator(mode="before")
    @classmethod
    def _model_of_its_family(cls, values: Any) -> Any:
        """Read ``model`` as the settings of the family that it names."""
        if not isinstance(values, dict) or not isinstance(values.get("model", {}), dict):
            return values
        model = values.get("model", {})
        name = model.get("family", DEFAULT)
        if not isinstance(name, str) or name not in FAMILIES:
            raise ValueError(f"model.family is {name!r}, expected one of {', '.join(FAMILIES)}")
        try:
            return values | {"model": FAMILIES[name].Config(**model)}
        except ValidationError as error:
            raise ValueError(_problem(error, ("model",), name)) from None

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain sections of plain values, as :func:`from_dict` takes them."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """The resolved config, complete."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    def flat(self) -> dict[str, Any]:
        """``section.key`` -> value."""
        return {f"{s}.{k}": v for s, values in self.to_dict().items() for k, v in values.items()}


def settings_of(family: str) -> dict[str, FieldInfo]:
    """``section.key`` -> type, bounds, default and meaning, for one family."""
    sections: dict[str, Any] = {}
    for name, section in Config.model_fields.items():
        sections[name] = FAMILIES[family].Config if name == "model" else section.annotation
    return {f"{s}.{k}": f for s, kind in sections.items() for k, f in kind.model_fields.items()}


def describe_settings(family: str) -> list[str]:
    """A line per setting: its name, type and bounds, default and meaning."""
    lines = []
    for name, info in settings_of(family).items():
        default = yaml.safe_dump(info.default).splitlines()[0]
        lines.append(f"{name} ({_type(info)}; default {default}): {info.description}")
    return lines


def _type(info: FieldInfo) -> str:
    limits = {"ge": "from", "le": "to"}
    bounds = [
        f"{limits[limit]} {getattr(part, limit)}"
        for part in info.metadata
        for limit in limits
        if hasattr(part, limit)
    ]
    names: list[str] = []
    for kind in get_args(info.annotation) or (info.annotation,):
        choices = get_args(kind) if get_origin(kind) is Literal else ()
        names += map(str, choices) if choices else [TYPES.get(kind, str(kind))]
    return " ".join([" or ".join(names), *bounds])


def _problem(error: ValidationError, prefix: tuple[str, ...] = (), family: str = DEFAULT) -> str:
    """The first of a validation's errors, as a sentence."""
    first = error.errors()[0]
    *section, key = name = [*prefix, *map(str, first["loc"])] or [""]
    dotted = ".".join(name)
    if first["type"] == "value_error":  # of this file's own validators
        return str(first["ctx"]["error"])
    if first["type"] == "extra_forbidden":
        return _unknown(section, key, family)
    if first["type"] in ("model_type", "dict_type"):
        return f"{dotted or 'the file'} is {first['input']!r}, expected key: value lines"
    info = settings_of(family).get(dotted)
    expected = _type(info) if info else first["msg"]
    return f"{dotted} is {first['input']!r}, expected {expected}"


def _unknown(section: list[str], key: str, family: str) -> str:
    dotted = ".".join([*section, key])
    if not section:
        return f"unknown section {key}; there are {', '.join(Config.model_fields)}"
    owners = [
        n for n, f in FAMILIES.items() if section == ["model"] and key in f.Config.model_fields
    ]
    if owners:
        return f"{dotted} is a setting of {' and '.join(owners)}, but model.family is {family}"
    known = list(settings_of(family))
    near = [name for name in known if _is_near(key, name.split(".")[1])]
    near.sort(key=lambda name: not name.startswith(f"{section[0]}."))
    here = ", ".join(n.split(".")[1] for n in known if n.startswith(f"{section[0]}."))
    suggestion = f"; did you mean {near[0]}?" if near else f"; known here: {here}"
    return f"unknown setting {dotted}{suggestion}"


def _is_near(key: str, name: str) -> bool:
    """Equal, of similar spelling, or one the initials of the other (lr, learning_rate)."""
    initials = ["".join(word[:1] for word in text.split("_")) for text in (name, key)]
    return (
        key == initials[0]
        or name == initials[1]
        or bool(difflib.get_close_matches(key, [name], 1, 0.75))
    )


def from_dict(values: Any, source: str) -> Config:
    """Build a config from plain sections; ``source`` names their origin in errors.

    Raises:
        InputError: an unknown setting, one of another family, a wrong type or value.
    """
    values = _with_text_keys(values)
    named = values.get("model") if isinstance(values, dict) else None
    family = named.get("family", DEFAULT) if isinstance(named, dict) else DEFAULT
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{source}: {_problem(error, (), family)}") from None


def _with_text_keys(values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    return {str(key): _with_text_keys(value) for key, value in values.items()}


class _Loader(yaml.SafeLoader):
    """YAML without aliases, which can expand beyond any memory, and without duplicate keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            line = event.start_mark.line + 1
            raise InputError(f"line {line} has the alias *{event.anchor}; write its value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                line = node.value[number][0].start_mark.line + 1
                raise InputError(f"line {line} has the key {key} for the second time")
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> Any:
    try:
        return _Loader(path.read_text(encoding="utf-8")).get_single_data() or {}
    except FileNotFoundError:
        raise InputError(f"{path}: no such config file") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (OSError, UnicodeDecodeError, RecursionError, TypeError, yaml.YAMLError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: is not a readable YAML file ({message})") from error


def _value(text: str, info: FieldInfo | None) -> Any:
    """An override's value: literal where text is wanted (a path may look like YAML), else YAML."""
    if info and (info.annotation is str or (info.annotation == (str | None) and text != "null")):
        return text
    try:
        return _Loader(text).get_single_data()
    except (yaml.YAMLError, InputError):
        return text


def _parsed(overrides: Iterable[str], family: str) -> Iterator[tuple[str, str, str, Any]]:
    for override in overrides:
        name, equals, text = override.partition("=")
        section, dot, key = name.partition(".")
        if not (equals and dot and key):
            raise InputError(f"{override!r}: expected section.key=value, as in train.lr=5e-4")
        yield override, section, key, _value(text, settings_of(family).get(name))


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML config and apply ``section.key=value`` overrides.

    Raises:
        InputError: the file is missing or not YAML, or holds what :func:`from_dict` refuses.
    """
    path, overrides = Path(path), list(overrides)
    values = _read_yaml(path)
    family = from_dict(values, str(path)).model.family  # the file's own errors are its own
    for override in overrides:  # a change of family first: the others may belong to it
        if override.startswith("model.family="):
            family = override.partition("=")[2]
            values["model"] = (values.get("model") or {}) | {"family": family}
            from_dict({"model": {"family": family}}, f"override {override!r}")
    for override, section, key, value in _parsed(overrides, family):
        context = {"model": {"family": family}}
        context[section] = context.get(section, {}) | {key: value}
        from_dict(context, f"override {override!r}")
        values[section] = (values.get(section) or {}) | {key: value}
    config = from_dict(values, str(path))
    _check_features(config, str(path))
    return config


def _check_features(config: Config, source: str) -> None:
    kind, backbone = config.features.type, config.model.backbone
    per_region = [i for i in family_of(config.model).inputs(config.model) if i.region_axes]
    if kind != "region" and per_region:
        raise InputError(
            f"{source}: features.type is {kind}, but *_{per_region[0].stem}.npy, which the model "
            f"reads, is of regions. It is for {per_region[0].needed_by}"
        )
    if kind == "images" and backbone is None:
        raise InputError(
            f"{source}: features.type is images, which needs a network that makes their grids; set "
            "model.backbone, to resnext101_32x8d for example"
        )
    if kind != "images" and backbone is not None:
        raise InputError(
            f"{source}: model.backbone is {backbone!r}, but features.type is {kind!r}; a backbone "
            "reads pictures, features.type=images"
        )
