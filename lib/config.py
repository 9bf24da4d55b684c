"""Frozen dataclasses <-> YAML, with ``section.key=value`` overrides."""

import difflib
import types
import typing
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from lib.errors import InputError

DATASETS = ("coco", "f30k", "mine", "scenes", "scenes_b")
PRECOMPUTED = ("region", "grid")
FEATURE_TYPES = (*PRECOMPUTED, "images")
BACKBONES = ("resnet18", "resnet50", "resnet101", "resnet152", "resnext101_32x8d")
DROP_SCHEMES = ("each", "vse_infinity")
PRECISIONS = ("fp32", "tf32", "bf16")
DIRECTIONS = {"i2t": "I-T", "t2i": "T-I"}  # CMSEI's two versions


def _bounded(default: Any, low: float | None = None, high: float | None = None) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True)
class DataConfig:
    """Where the files are and how captions are read."""

    root: str = "data"  # holds <dataset>_precomp/ or <dataset>/precomp/
    dataset: str = "f30k"  # coco, f30k, mine, scenes or scenes_b
    workers: int = _bounded(4, 0)  # processes that load batches, one per core at most
    word_augment: float = _bounded(0.2, 0, 1)  # share of words touched in training


@dataclass(frozen=True)
class FeaturesConfig:
    """The image rows: detected regions, or grid cells, from files or made from pictures."""

    type: str = "region"  # region, grid for the cells of a convolutional map, or images
    folder: str | None = None  # one file per image, inside the dataset's folder; null: *_ims.npy
    regions: int | None = _bounded(None, 1)  # rows that every image must have; null: any number
    grid_size: int | None = _bounded(7, 1)  # maps are pooled to this side; null: all cells stay
    drop: float = _bounded(0.2, 0, 1)  # rate at which rows are dropped in training
    drop_scheme: str = "each"  # each: every row at the rate; or vse_infinity, see drop_rate
    # Of type images: what training and the backbone see of a picture.
    image_size: int = _bounded(512, 32)  # pixels of a side; pictures are stretched to a square
    crop: float = _bounded(0.6, 0.01, 1)  # training cuts out at least this share of each side
    flip: float = _bounded(0.5, 0, 1)  # rate at which training mirrors


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and parts of the two encoders."""

    family: str = "threeshnet"  # or cmsei
    img_dim: int = _bounded(2048, 1)
    embed_size: int = _bounded(1024, 2)
    segmentation: bool = True  # false: VSE-infinity, and no segmentation file is read
    vsem: bool = True  # the visual-semantic branch
    vspm: bool = True  # the visual-spatial branch; false: *_seg_maps.npy is not read
    categories: int = _bounded(133, 1)
    cells: int = _bounded(7, 1)  # side of the semantic segmentation's grid
    map_size: int = _bounded(64, 1)  # side of the panoptic label map
    normalise_images: bool = True
    normalise_texts: bool = True
    bert: str = "bert-base-uncased"  # hub name or local folder
    backbone: str | None = None  # a ResNet that makes the grid of features.type=images; null: none
    backbone_weights: str = "imagenet"  # or random, or a Detectron2 file like X-101.pth

    # Of family cmsei; what the paper leaves open is inferred.
    direction: str = "i2t"  # I-T, an image's regions attended by words; or t2i for T-I, the mirror
    use_spatial_graph: bool = True  # VSG; false: *_ims_bbx.npy is not read
    use_semantic_graph: bool = True  # VSRG; false: *_rels.npy is not read
    use_text_graph: bool = True  # TG
    use_local_interaction: bool = True  # LLII
    use_global_interaction: bool = True  # LGII
    overlap: float = _bounded(0.4, 0, 1)  # regions whose IoU is above are near each other
    rounds: int = _bounded(2, 1)  # of local-local interaction, with parameters of their own
    smoothing: float = _bounded(4.0, 0)  # inferred: lambda of the attention

    @property
    def needs_segmentation(self) -> bool:
        """Whether segmentation arrays are read."""
        return self.family != "cmsei" and self.segmentation

    @property
    def needs_boxes(self) -> bool:
        """Whether ``*_ims_bbx.npy`` is read."""
        return self.family == "cmsei" and self.use_spatial_graph

    @property
    def needs_relations(self) -> bool:
        """Whether ``*_rels.npy`` is read."""
        return self.family == "cmsei" and self.use_semantic_graph

    @property
    def title(self) -> str:
        """The model's name in tables: an ablation never passes for the whole."""
        if self.family == "cmsei":
            return self._cmsei_title
        if not self.segmentation:
            return "VSE-infinity"
        missing = [name for name, on in (("VSeM", self.vsem), ("VSpM", self.vspm)) if not on]
        return "3SHNet" + (f" without {' and '.join(missing)}" if missing else "")

    @property
    def _cmsei_title(self) -> str:
        parts = {
            "VSG": self.use_spatial_graph,
            "VSRG": self.use_semantic_graph,
            "TG": self.use_text_graph,
            "LLII": self.use_local_interaction,
            "LGII": self.use_global_interaction,
        }
        missing = [name for name, on in parts.items() if not on]
        title = f"CMSEI {DIRECTIONS[self.direction]}"
        return title + (f" without {' and '.join(missing)}" if missing else "")


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation; epochs are counted from 0."""

    epochs: int = _bounded(25, 1)
    batch_size: int = _bounded(128, 2)  # of all processes together
    lr: float = _bounded(5e-4, 0)
    bert_lr_scale: float = _bounded(0.1, 0)  # BERT's rate is lr times this
    backbone_lr_scale: float = _bounded(0.01, 0)  # likewise the backbone's
    # The backbone learns from this epoch on, in which all rates rise linearly from 0.
    backbone_epoch: int = _bounded(1, 0)
    frozen_stages: int = _bounded(2, 0, 4)  # they never learn, nor the stem; 0: all learns
    decay_epoch: int = _bounded(15, 1)  # all rates are multiplied by decay when it starts
    decay: float = _bounded(0.1, 0)
    weight_decay: float = _bounded(1e-4, 0)
    # Captions, or pictures, that BERT, or a backbone, keeps activations of; null: the batch.
    micro_batch: int | None = _bounded(None, 1)
    sync_batchnorm: bool = False  # with several processes: statistics of the whole batch
    clip: float = _bounded(2.0, 0)  # gradient norm over all parameters together
    sum_epochs: int = _bounded(1, 0)  # first epochs on the sum form, the rest on the hardest
    margin: float = _bounded(0.2, 0)
    precision: str = "fp32"  # of products: fp32, tf32 or bf16; weights and loss are float32
    mask_same_image: bool = False  # captions of one image are no negatives of each other


@dataclass(frozen=True)
class EvalConfig:
    """How scores are computed."""

    # Of a family that scores pairs, in evaluation and in training: what a chunk of them may take.
    pair_memory_gb: float = _bounded(2.0, 0.001)


@dataclass(frozen=True)
class RunConfig:
    """Where a run lives and what it starts from."""

    out: str = "runs/latest"
    seed: int = _bounded(0, 0, 2**63 - 1)
    device: str = "auto"  # auto, cpu or cuda


@dataclass(frozen=True)
class Config:
    """Everything a training run is a function of."""

    data: DataConfig = field(default_factory=DataConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain sections of plain values, as :func:`from_dict` takes them."""
        return asdict(self)

    def to_yaml(self) -> str:
        """The resolved config, complete."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)


def _convert(value: Any, kind: Any, name: str, source: str) -> Any:
    """``value`` as ``kind`` (a scalar type, possibly ``| None``), or an error that says both."""
    allowed = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if value is None and type(None) in allowed:
        return None
    scalar = next(a for a in allowed if a is not type(None))
    if scalar is float and isinstance(value, int | str) and not isinstance(value, bool):
        with suppress(ValueError):  # YAML 1.1 reads 5e-4 as text
            value = float(value)
    if type(value) is not scalar:
        expected = scalar.__name__ + (" or null" if type(None) in allowed else "")
        raise InputError(f"{source}: {name} is {value!r}, expected {expected}")
    return value


def _build(kind: type, values: Any, prefix: str, source: str) -> Any:
    if not isinstance(values, dict):
        raise InputError(f"{source}: {prefix or 'the file'} holds {values!r}, expected key: value")
    known = {f.name: f for f in fields(kind)}
    built = {}
    for key, value in values.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)[0]
            raise InputError(
                f"{source}: unknown key {name}; did you mean {close}? Allowed here: "
                + ", ".join(known)
            )
        spec = known[key]
        if is_dataclass(spec.type):
            built[key] = _build(spec.type, value, name, source)
            continue
        built[key] = value = _convert(value, spec.type, name, source)
        low, high = spec.metadata.get("low"), spec.metadata.get("high")
        if low is not None and value is not None and not low <= value <= (high or float("inf")):
            limits = f"at least {low}" + ("" if high is None else f" and at most {high}")
            raise InputError(f"{source}: {name} is {value!r}, expected {limits}")
        if value in (float("inf"), float("-inf")):
            raise InputError(f"{source}: {name} is {value!r}, expected a finite number")
    return kind(**built)


def _parse(text: str, section: str, key: str) -> Any:
    """An override's value: literal where text is wanted (a path may look like YAML), else YAML."""
    outer = next((f.type for f in fields(Config) if f.name == section), None)
    kind = next((f.type for f in fields(outer) if f.name == key), None) if outer else None
    if kind is str or (kind == (str | None) and text != "null"):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _choice(name: str, value: str, allowed: tuple[str, ...], source: str) -> None:
    if value not in allowed:
        raise InputError(f"{source}: {name} is {value!r}, expected one of {', '.join(allowed)}")


def from_dict(values: dict[str, Any], source: str) -> Config:
    """Build a config from plain sections; ``source`` names their origin in errors.

    Raises:
        InputError: an unknown key (with the closest valid name), a wrong type or range.
    """
    config = _build(Config, values, "", source)
    _choice("data.dataset", config.data.dataset, DATASETS, source)
    _choice("features.type", config.features.type, FEATURE_TYPES, source)
    _choice("features.drop_scheme", config.features.drop_scheme, DROP_SCHEMES, source)
    _choice("train.precision", config.train.precision, PRECISIONS, source)
    _choice("model.direction", config.model.direction, tuple(DIRECTIONS), source)
    _choice("run.device", config.run.device, ("auto", "cpu", "cuda"), source)
    if config.model.backbone is not None:
        _choice("model.backbone", config.model.backbone, BACKBONES, source)
    return config


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML config and apply ``section.key=value`` overrides.

    Raises:
        InputError: the file is missing or no YAML, or holds what :func:`from_dict` refuses.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise InputError(f"{path}: no such config file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: is not a readable YAML file ({error})") from error
    from_dict(values, str(path))  # errors in the file are the file's, not an override's
    for override in overrides:
        name, equals, text = override.partition("=")
        section, dot, key = name.partition(".")
        if not (equals and dot and key):
            raise InputError(f"{override!r}: expected section.key=value, as in train.lr=5e-4")
        value = _parse(text, section, key)
        from_dict({section: {key: value}}, f"override {override!r}")
        values.setdefault(section, {})[key] = value
    config = from_dict(values, str(path))
    _check_backbone(config, str(path))
    return config


def _check_backbone(config: Config, source: str) -> None:
    kind, backbone = config.features.type, config.model.backbone
    if kind != "region" and (config.model.needs_boxes or config.model.needs_relations):
        raise InputError(
            f"{source}: model.family is cmsei, whose graphs are of regions, but features.type is "
            f"{kind}; use region, or switch both graphs off (model.use_spatial_graph=false "
            "model.use_semantic_graph=false)"
        )
    if kind == "images" and backbone is None:
        raise InputError(
            f"{source}: features.type is images, which needs a network that makes their grids; say "
            f"model.backbone={BACKBONES[-1]}, or another of {', '.join(BACKBONES)}"
        )
    if kind != "images" and backbone is not None:
        raise InputError(
            f"{source}: model.backbone is {backbone!r}, but features.type is {kind!r}; a backbone "
            "reads pictures, features.type=images"
        )
