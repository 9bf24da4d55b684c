"""Scores a checkpoint on a split: what eval.py and eval_cross_ensemble.py share."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lib.checkpoint import Checkpoint, load_checkpoint, load_model
from lib.config import Config, FeaturesConfig
from lib.data.captions import tokenise
from lib.data.provenance import mismatches
from lib.data.split import Split, open_split
from lib.device import default_workers, encoding_batch, resolve_device
from lib.distributed import rank
from lib.errors import InputError
from lib.evaluation.encode import Embeddings, encode_split
from lib.evaluation.protocols import check_split
from lib.evaluation.records import UNKNOWN, Origin
from lib.models import family_of
from lib.models.common.micro_batch import set_limits

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


@dataclass(frozen=True)
class FeatureChoice:
    """The features that a model gets; None everywhere: those that it was trained on."""

    type: str | None = None  # region or grid
    folder: str | None = None  # of one file per image; "" for the split's array
    grid_size: str | None = None  # side that grids are pooled to, or "off"; for grids alone

    def apply(self, trained: FeaturesConfig) -> FeaturesConfig:
        """The training's settings with this choice."""
        features = trained
        if self.type is not None and self.type != features.type:
            folder = GRID_FOLDER if self.type == "grid" else None
            features = FeaturesConfig(type=self.type, folder=folder)  # type: ignore[arg-type]
        changes: dict[str, str | int | None] = {}
        if self.folder is not None:
            changes["folder"] = self.folder or None
        if self.grid_size is not None and features.type == "grid":
            changes["grid_size"] = None if self.grid_size == "off" else int(self.grid_size)
        return features.model_copy(update=changes)


@dataclass(frozen=True)
class Scored:
    """A checkpoint's scores on a split."""

    origin: Origin
    split: Split
    scores: np.ndarray  # (n, 5n) float32
    embeddings: Embeddings


def origin_of(path: str | Path, checkpoint: Checkpoint, features: FeaturesConfig) -> Origin:
    """Who made scores: the checkpoint's model and training, with the features it is given now."""
    config, epoch = checkpoint.config, checkpoint.progress.get("epoch")
    family = family_of(config.model)
    ours = checkpoint.released is None  # a released file tells neither seed nor recipe
    if epoch is not None and not checkpoint.progress.get("step"):
        epoch -= 1  # both formats store how many epochs are done
    return Origin(
        checkpoint=str(path),
        model=family.title(config.model),
        features=features.type,
        source=checkpoint.source or UNKNOWN,
        seed=config.run.seed if ours else None,
        epoch=epoch,
        config=config.model_copy(update={"features": features}).to_dict() if ours else None,
        whole=family.whole(config.model),
    )


def origin_to_be(path: str, target: Target, choice: FeatureChoice) -> Origin:
    """The origin of scores that are still to be made. Raises InputError: no such checkpoint, or
    one of other features."""
    checkpoint = load_checkpoint(path)
    _require_features(path, checkpoint, choice)
    return origin_of(path, checkpoint, _retarget(checkpoint.config, target, choice).features)


def score_checkpoint(
    path: str, target: Target, choice: FeatureChoice, needs_vectors: bool = False
) -> Scored:
    """Encode a split once and score it with a checkpoint of either format; ``needs_vectors``
    refuses a family that scores pairs, before anything is encoded. Raises InputError: anything
    wrong with checkpoint, files or arguments."""
    check_split(target.dataset, target.split)
    device = resolve_device(target.device)
    checkpoint = load_checkpoint(path).relocated(target.locations)
    _require_features(path, checkpoint, choice)
    notes = []
    if checkpoint.released is not None and choice.type is None:
        notes.append(
            f"{path} is a released file, which does not tell its features; it gets regions "
            "(--features says otherwise)"
        )
    config = _retarget(checkpoint.config, target, choice)
    split = open_split(config, target.split)
    check_split(target.dataset, target.split, len(split.image_ids))
    model, tokenizer = load_model(checkpoint, path, target.data_path)
    if needs_vectors and model.pairwise:
        raise InputError(
            f"{path}: {family_of(config.model).title(config.model)} scores pairs and has no "
            "vector per image to save; --save_results saves its scores"
        )
    set_limits(model, None, target.pair_memory_gb or config.eval.pair_memory_gb)
    captions = tokenise(split.captions, tokenizer)
    notes += mismatches(checkpoint.progress.get("extractors", {}), split.extractors)
    notes += [*captions.warnings(split.name), *tokenizer.notes]
    for note in notes if rank() == 0 else ():
        print(f"note: {note}", file=sys.stderr)
    batch_size = target.batch_size or encoding_batch(device)
    embeddings = encode_split(
        model.to(device), split, captions, batch_size, target.workers, precision=target.precision
    )
    origin = origin_of(path, checkpoint, config.features)
    return Scored(origin, split, embeddings.scores(model, target.precision), embeddings)


def _require_features(path: str, checkpoint: Checkpoint, choice: FeatureChoice) -> None:
    """Refuse features of another type than a run of ours was trained on."""
    trained = checkpoint.config.features.type
    if checkpoint.released is None and choice.type not in (None, trained):
        raise InputError(f"{path}: was trained on {trained} features, not on {choice.type}")


def _retarget(config: Config, target: Target, choice: FeatureChoice) -> Config:
    data = config.data.model_copy(update={"root": target.data_path, "dataset": target.dataset})
    return config.model_copy(update={"data": data, "features": choice.apply(config.features)})
