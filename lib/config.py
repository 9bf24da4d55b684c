"""The config of a run: typed sections from YAML, with ``section.key=value`` overrides.

The ``model:`` section is the settings class of the family that ``model.family`` names."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import Field, SerializeAsAny, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from lib.arguments import dataset_problem
from lib.errors import InputError
from lib.files import require_regular
from lib.models import DEFAULT, FAMILIES, family_of
from lib.models.family import TIMM, FamilyConfig, Float, Settings, setting

FeatureType = Literal["region", "grid", "images"]
DropScheme = Literal["each", "vse_infinity"]
Precision = Literal["fp32", "tf32", "bf16"]
Loss = Literal["triplet", "infonce"]
Device = Literal["auto", "cpu", "cuda"]
Epoch = Annotated[int, Field(ge=1)]
PRECISIONS: tuple[str, ...] = get_args(Precision)
TYPES = {bool: "true or false", int: "integer", float: "number", str: "text", type(None): "null"}


class DataConfig(Settings):
    """Where the files are, and how captions are read."""

    root: str = setting("data", "holds <dataset>_precomp/ or <dataset>/precomp/")
    dataset: str = setting("f30k", "which dataset: coco, f30k, or the name of any such folder")
    workers: int = setting(4, "loading processes, at most one per core", ge=0)
    word_augment: Float = setting(0.2, "share of words that training changes", ge=0, le=1)
    noise_ratio: Float = setting(
        0.0, "share of training captions that are paired with other images, by run.seed", ge=0, le=1
    )

    @field_validator("dataset")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if problem := dataset_problem(value):
            raise ValueError(f"data.dataset is {value!r}, {problem}")
        return value


class FeaturesConfig(Settings):
    """The image rows: detected regions, or grid cells, from files or made from pictures."""

    type: FeatureType = setting("region", "regions, grid cells, or images to train from pixels")
    folder: str | None = setting(None, "in the dataset's folder, a file per image; null: *_ims.npy")
    regions: int | None = setting(None, "rows of every image; null: any number", ge=1)
    grid_size: int | None = setting(
        7, "maps are averaged to this side (7 is inferred); null: all cells", ge=1
    )
    drop: Float = setting(0.2, "rate at which training drops rows", ge=0, le=1)
    drop_scheme: DropScheme = setting("each", "all rows at that rate, or a random rate per image")
    image_size: int = setting(512, "side in pixels of pictures (type=images)", ge=32)
    crop: Float = setting(0.6, "least share of both sides that training crops to", ge=0.01, le=1)
    flip: Float = setting(0.5, "rate at which training mirrors pictures", ge=0, le=1)


class TrainConfig(Settings):
    """Optimisation; epochs are counted from 0."""

    epochs: int = setting(25, "number of epochs", ge=1)
    batch_size: int = setting(128, "pairs in a batch, over all GPUs together", ge=2)
    lr: Float = setting(5e-4, "learning rate of all that has no rate of its own", ge=0)
    backbone_lr_scale: Float = setting(0.01, "the backbone's rate is train.lr times this", ge=0)
    backbone_epoch: int = setting(
        1, "epoch in which the backbone starts, and the loss warms up", ge=0
    )
    frozen_stages: int = setting(
        0, "stem and first stages of the backbone that never learn; 0: all learns", ge=0, le=4
    )
    decay_epoch: Epoch | list[Epoch] = setting(
        15, "epoch from which rates are multiplied by decay; of a list, once more from each"
    )
    decay: Float = setting(0.1, "factor on all rates from decay_epoch on", ge=0)
    weight_decay: Float = setting(1e-4, "of AdamW; 0 makes it Adam", ge=0)
    drop_last: bool = setting(
        True, "leave out an epoch's partial last batch; false: train on what processes can share"
    )
    micro_batch: int | None = setting(None, "micro-batch size; null: the whole batch", ge=1)
    sync_batchnorm: bool = setting(False, "on several GPUs: BatchNorm over the whole batch")
    clip: Float = setting(2.0, "largest gradient norm over all parameters", ge=0)
    sum_epochs: int = setting(1, "epochs on the sum form of the loss, before the hardest", ge=0)
    margin: Float = setting(0.2, "margin of the triplet loss", ge=0)
    loss: Loss = setting(
        "triplet", "hinge on negatives, or InfoNCE over the batch (no margin, no sum_epochs)"
    )
    temperature: Float = setting(
        0.07, "where InfoNCE's temperature starts; it is learned", ge=0.01, le=10
    )
    precision: Precision = setting("fp32", "precision of matrix products and convolutions")
    init: str | None = setting(
        None, "a checkpoint whose weights the run starts from; null: pretrained networks alone"
    )
    word_cache_gb: Float = setting(
        8.0, "GB for a frozen text network's states of unchanged captions, made once", ge=0
    )
    mask_same_image: bool = setting(False, "captions of one image are not each other's negatives")


class EvalConfig(Settings):
    """How scores are computed."""

    pair_memory_gb: Float = setting(2.0, "GB for a chunk of pairs, if pairs are scored", ge=0.001)


class RunConfig(Settings):
    """Where a run lives and what it starts from."""

    out: str = setting("runs/latest", "the run's folder")
    seed: int = setting(0, "of weights, batches and augmentation", ge=0, le=2**63 - 1)
    device: Device = setting("auto", "auto: CUDA if available")


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
    sections: dict[str, Any] = {name: f.annotation for name, f in Config.model_fields.items()}
    sections["model"] = FAMILIES[family].Config
    return {f"{s}.{k}": f for s, kind in sections.items() for k, f in kind.model_fields.items()}


def describe_settings(family: str) -> list[str]:
    """A line per setting: its name, type and bounds, default and meaning."""
    return [
        f"{name} ({_type(info)}; default {yaml.safe_dump(info.default).splitlines()[0]}): "
        f"{info.description}"
        for name, info in settings_of(family).items()
    ]


def _type(info: FieldInfo) -> str:
    names: list[str] = []
    for kind in get_args(info.annotation) or (info.annotation,):
        if get_origin(kind) is Annotated:
            kind, *about = get_args(kind)
            bounds = [bound for part in about for bound in _bounds(part)]
            names.append(" ".join([TYPES[kind], *bounds]))
        elif get_origin(kind) is list:
            names.append("a list of them")
        else:
            choices = get_args(kind) if get_origin(kind) is Literal else ()
            names += map(str, choices) if choices else [TYPES.get(kind, str(kind))]
    text = " ".join([" or ".join(name for name in names if name != "null"), *_bounds(info)])
    return f"{text}, or null" if "null" in names else text


def _bounds(info: Any) -> list[str]:
    limits = {"ge": "from", "le": "to"}
    return [
        f"{word} {getattr(part, limit)}"
        for part in getattr(info, "metadata", ())
        for limit, word in limits.items()
        if hasattr(part, limit)
    ]


def _problem(error: ValidationError, prefix: tuple[str, ...] = (), family: str = DEFAULT) -> str:
    """The first of a validation's errors, as a sentence."""
    first = error.errors()[0]
    # Behind section and key stands which type of a union was tried.
    *section, key = name = [*prefix, *map(str, first["loc"])][:2] or [""]
    dotted = ".".join(name)
    if first["type"] == "value_error":  # of this file's own validators
        return str(first["ctx"]["error"])
    if first["type"] == "string_too_short":
        return f"{dotted} is empty"
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
    owners = [name for name, f in FAMILIES.items() if key in f.Config.model_fields]
    if section == ["model"] and owners:
        of = " and ".join([", ".join(owners[:-1]), owners[-1]] if owners[1:] else owners)
        return f"{dotted} is a setting of {of}, but model.family is {family}"
    known = list(settings_of(family))
    near = [name for name in known if _is_near(key, name.split(".")[1])]
    near.sort(key=lambda name: not name.startswith(f"{section[0]}."))
    here = ", ".join(n.split(".")[1] for n in known if n.startswith(f"{section[0]}."))
    suggestion = f"; did you mean {near[0]}?" if near else f"; known here: {here}"
    return f"unknown setting {dotted}{suggestion}"


def _is_near(key: str, name: str) -> bool:
    """Equal, of similar spelling, or one the initials of the other (lr, learning_rate)."""
    of_name, of_key = ("".join(word[:1] for word in text.split("_")) for text in (name, key))
    similar = difflib.get_close_matches(key, [name], 1, 0.75)
    return key == of_name or name == of_key or bool(similar)


def from_dict(values: Any, source: str) -> Config:
    """Build a config from plain sections; ``source`` names their origin in errors. Raises
    InputError: an unknown setting, one of another family, a wrong type or value."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        model = values.get("model") if isinstance(values, dict) else None
        family = model.get("family", DEFAULT) if isinstance(model, dict) else DEFAULT
        raise InputError(f"{source}: {_problem(error, (), family)}") from None


def _with_text_keys(values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    return {str(key): _with_text_keys(value) for key, value in values.items()}


class _Loader(yaml.SafeLoader):
    """YAML without aliases, which can expand beyond any memory, and without duplicate keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            line, alias = self.peek_event().start_mark.line + 1, self.peek_event().anchor
            raise InputError(f"line {line} has the alias *{alias}; write its value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        seen: set[str] = set()  # as text: keys become text
        for number, key in enumerate(map(str, keys)):
            if key in seen:
                line = node.value[number][0].start_mark.line + 1
                raise InputError(f"line {line} has the key {key} for the second time")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> Any:
    require_regular(path, "a config")
    try:
        return _Loader(path.read_text(encoding="utf-8")).get_single_data()
    except FileNotFoundError:
        raise InputError(f"{path}: no such config file") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:  # values such as 2020-99-99 fail inside YAML in many ways
        message = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: is not a readable YAML file ({message})") from error


def _value(text: str, info: FieldInfo | None) -> Any:
    """An override's value: literal where text is wanted (a path may look like YAML), else YAML."""
    if info and (info.annotation is str or (info.annotation == (str | None) and text != "null")):
        return text
    try:
        return _Loader(text).get_single_data()
    except Exception:  # as above
        return text


def load_config(path: str | Path | None, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML config (None: the defaults) and apply ``section.key=value`` overrides. Raises
    InputError: the file is missing or not YAML, or holds what :func:`from_dict` refuses."""
    found = None if path is None else _read_yaml(Path(path))
    values = {} if found is None else _with_text_keys(found)
    config = from_dict(values, str(path))
    # A change of family first: other overrides may belong to it.
    for override in sorted(overrides, key=lambda text: not text.startswith("model.family=")):
        name, equals, text = override.partition("=")
        section, dot, key = name.partition(".")
        if not (equals and dot and key):
            raise InputError(f"{override!r}: expected section.key=value, as in train.lr=5e-4")
        value = _value(text, settings_of(config.model.family).get(name))
        values[section] = values.get(section, {}) | {key: value}
        config = from_dict(values, f"override {override!r}")
    _check_features(config, str(path or "settings"))
    return config


def _check_features(config: Config, source: str) -> None:
    kind, backbone = config.features.type, config.model.backbone
    fixed = family_of(config.model).regions(config.model)
    if fixed is not None and config.features.drop > 0:
        raise InputError(
            f"{source}: features.drop is {config.features.drop:g}, but the model wants all "
            f"{fixed} regions of every image; set features.drop=0"
        )
    cells = None if kind == "region" else config.features.grid_size
    rows = config.features.regions if cells is None else cells**2
    if fixed is not None and rows not in (None, fixed):
        raise InputError(
            f"{source}: model.regions is {fixed}, but the features have {rows} rows per image"
        )
    per_region = [i for i in family_of(config.model).inputs(config.model) if i.region_axes]
    if kind != "region" and per_region:
        raise InputError(
            f"{source}: features.type is {kind}, but *_{per_region[0].stem}.npy, which the model "
            f"reads, is of regions. It is for {per_region[0].needed_by}"
        )
    if kind == "images" and backbone is None and family_of(config.model).trains:
        problem = "features.type is images, which needs a network that makes their grids; set "
        raise InputError(f"{source}: {problem}model.backbone, to resnext101_32x8d for example")
    if backbone is not None and backbone.startswith(TIMM) and config.train.frozen_stages:
        raise InputError(
            f"{source}: train.frozen_stages is {config.train.frozen_stages}, but {backbone} has no "
            "stages that all of timm's networks have; set train.frozen_stages=0"
        )
    if kind != "images" and backbone is not None:
        problem = f"model.backbone is {backbone!r}, but features.type is {kind!r}; a backbone reads"
        raise InputError(f"{source}: {problem} pictures, features.type=images")
