"""A checkpoint opened on a split: the model, its data, and what a reader should know of both."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from lib.checkpoint import Checkpoint, load_model
from lib.config import Config, DataConfig, FeaturesConfig, load_config
from lib.data.captions import TokenisedCaptions, read_ids, tokenise
from lib.data.provenance import mismatches
from lib.data.split import Split, dataset_folder, open_split
from lib.device import default_workers
from lib.distributed import rank
from lib.errors import InputError
from lib.evaluation.benchmarks import Benchmarks, require_coco
from lib.evaluation.extras import Extras
from lib.evaluation.protocols import check_split
from lib.models.common.hub import is_hub_word, local_folder
from lib.models.common.micro_batch import set_limits
from lib.models.common.retrieval_model import RetrievalModel
from lib.models.family import Tokenizer
from lib.portable import is_portable

CONFIG = "config.yaml"  # of a run's folder
CAPTION_IDS = "sentids.txt"  # behind a split's name, beside its captions
GRID_FOLDER = "grids"  # where grid features are looked for if neither checkpoint nor user says


@dataclass(frozen=True)
class Target:
    """What to score on, and how."""

    data_path: str  # holds <dataset>_precomp/
    dataset: str
    split: str
    # Setting -> where a family's own files are now; what is left out: as trained.
    locations: dict[str, str] = field(default_factory=dict)
    device: str = "auto"
    batch_size: int | None = None  # images or captions encoded at once; None: by device
    workers: int = default_workers(2)
    precision: str = "fp32"  # fp32, tf32 or bf16
    pair_memory_gb: float | None = None  # in a family that scores pairs; None: as trained


def trained_on(checkpoint: str) -> DataConfig | None:
    """The data that a run was trained on, by the ``config.yaml`` beside its checkpoint, or in its
    folder of the hub; None where there is none, as beside a released file. Raises InputError: it
    cannot be read."""
    if is_hub_word(checkpoint) or Path(checkpoint).is_dir():
        folder = local_folder(checkpoint)
        if not is_portable(folder):  # then the file is somebody else's
            return None
        config = folder / CONFIG
    else:
        config = Path(checkpoint).with_name(CONFIG)
    return load_config(config, []).data if config.is_file() else None


@dataclass(frozen=True)
class FeatureChoice:
    """The features that a model gets; None everywhere: those that it was trained on."""

    type: str | None = None  # region or grid
    folder: str | None = None  # of one file per image; "" for the split's array
    grid_size: str | None = None  # side that grids are pooled to, or "off"; for grids alone
    images: str | None = None  # the folder of pictures; for a model that reads them

    def apply(self, trained: FeaturesConfig) -> FeaturesConfig:
        """The training's settings with this choice."""
        features = trained
        if self.type is not None and self.type != features.type:
            folder = GRID_FOLDER if self.type == "grid" else None
            features = FeaturesConfig(type=self.type, folder=folder)  # type: ignore[arg-type]
        changes: dict[str, str | int | None] = {}
        if self.images is not None:
            changes["folder"] = str(Path(self.images).absolute())
        if self.folder is not None:
            changes["folder"] = self.folder or None
        if self.grid_size is not None and features.type == "grid":
            changes["grid_size"] = None if self.grid_size == "off" else int(self.grid_size)
        return features.model_copy(update=changes)


@dataclass(frozen=True)
class Opened:
    """A model on the CPU, in front of a split."""

    checkpoint: Checkpoint  # with the family's files where they are now
    config: Config  # with the data and features that it gets now
    split: Split
    model: RetrievalModel
    tokenizer: Tokenizer
    captions: TokenisedCaptions  # of the split
    notes: list[str]


def open_checkpoint(
    path: str,
    checkpoint: Checkpoint,
    target: Target,
    choice: FeatureChoice,
    pictures_alone: bool = False,
) -> Opened:
    """Open what ``checkpoint``, read from ``path``, needs; ``pictures_alone`` as in
    :func:`lib.data.split.open_split`. Raises InputError: anything wrong with checkpoint, files or
    arguments."""
    checkpoint = checkpoint.relocated(target.locations)
    require_features(path, checkpoint, choice)
    notes = []
    reads_arrays = checkpoint.config.features.type != "images"
    if checkpoint.released is not None and choice.type is None and reads_arrays:
        notes.append(
            f"{path} is a released file, which does not tell its features; it gets regions "
            "(--features says otherwise)"
        )
    config = retargeted(checkpoint.config, target, choice)
    split = open_split(config, target.split, pictures_alone=pictures_alone)
    if split.captions:
        check_split(target.dataset, target.split, len(split.image_ids))
    model, tokenizer = load_model(checkpoint, path, target.data_path)
    set_limits(model, None, target.pair_memory_gb or config.eval.pair_memory_gb)
    captions = tokenise(split.captions, tokenizer)
    notes += mismatches(checkpoint.progress.get("extractors", {}), split.extractors)
    notes += [*captions.warnings(split.name), *tokenizer.notes]
    return Opened(checkpoint, config, split, model, tokenizer, captions, notes)


def benchmarks_of(extras: Extras, target: Target) -> Benchmarks | None:
    """The benchmarks that were asked for, in front of a split of which nothing but its ids is read
    yet; None: none were. Raises InputError: see
    :func:`lib.evaluation.benchmarks.open_benchmarks`."""
    if not extras.benchmarks:
        return None
    require_coco(target.dataset, target.split)
    folder = dataset_folder(target.data_path, target.dataset)
    ids, _ = read_ids(folder / f"{target.split}_ids.txt")
    beside = folder / f"{target.split}_{CAPTION_IDS}"
    about = (target.dataset, target.split, ids, beside if beside.is_file() else None)
    found = extras.open_benchmarks(*about)
    for note in found.notes if found is not None and rank() == 0 else ():
        print(f"note: {note}", file=sys.stderr)
    return found


def require_features(path: str, checkpoint: Checkpoint, choice: FeatureChoice) -> None:
    """Refuse features of another type than a run of ours, or a backbone, was trained on."""
    trained = checkpoint.config.features.type
    if choice.images is not None and trained != "images":
        raise InputError(f"{path}: reads {trained} features, no pictures; leave --images out")
    if choice.images is not None and choice.folder is not None:
        raise InputError("--images and --features_folder name the same folder; leave one out")
    if trained == "images" and choice.type is not None:
        raise InputError(f"{path}: reads pictures, not {choice.type} features (--images FOLDER)")
    if checkpoint.released is None and choice.type not in (None, trained):
        raise InputError(f"{path}: was trained on {trained} features, not on {choice.type}")


def retargeted(config: Config, target: Target, choice: FeatureChoice) -> Config:
    """The training's settings with the data and features that the model gets now."""
    data = config.data.model_copy(update={"root": target.data_path, "dataset": target.dataset})
    return config.model_copy(update={"data": data, "features": choice.apply(config.features)})
