"""Scores a checkpoint on a split: what eval.py and eval_cross_ensemble.py share."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.checkpoint import Checkpoint, load_checkpoint
from lib.config import FeaturesConfig
from lib.data.captions import tokenise
from lib.data.images import Pixels
from lib.data.split import Split
from lib.device import encoding_batch, local_device, resolve_device
from lib.distributed import rank
from lib.errors import InputError
from lib.evaluation.encode import Embeddings, encode_captions, encode_images, encode_split
from lib.evaluation.encode_shards import Keep, encode_shards
from lib.evaluation.mapped_rows import Rows
from lib.evaluation.opened import (
    FeatureChoice,
    Opened,
    Target,
    open_checkpoint,
    require_features,
    retargeted,
)
from lib.evaluation.perturbations import PICTURES, swapped
from lib.evaluation.products import matrix_of
from lib.evaluation.protocols import FOLDS, check_split
from lib.evaluation.records import UNKNOWN, ZERO_SHOT, Origin
from lib.evaluation.shortlist import candidates, rescore
from lib.models import family_of
from lib.models.common.hub import is_hub_word, local_folder


@dataclass(frozen=True)
class Shortlist:
    """The candidates that a family that scores pairs is given."""

    count: int  # per query
    first_stage: str  # the checkpoint that names them

    def among(self, title: str) -> str:
        """What a title says of it: it is not the model on all pairs."""
        return f" on the best {self.count} of {title}"


@dataclass(frozen=True)
class Scored:
    """A checkpoint's scores on a split."""

    origin: Origin
    split: Split
    # (n, 5n) float32: a matrix, or computed block by block (lib.evaluation.products.Products)
    scores: Any
    embeddings: Embeddings
    note: str = ""  # how many pairs were scored, and in what time, where pairs are
    # (n, 5n) each, of lib.evaluation.perturbations.TITLES
    perturbed: dict[str, Any] = field(default_factory=dict)

    @property
    def vectors(self) -> tuple[Any, Any] | None:
        """(n, D) of images and (5n, D) of captions, arrays or rows of files; None in a family that
        scores pairs."""
        images, captions = self.embeddings.images, self.embeddings.captions
        if isinstance(images, Rows):
            return images, captions
        return (images.numpy(), captions.numpy()) if isinstance(images, Tensor) else None


def origin_of(
    path: str | Path, checkpoint: Checkpoint, features: FeaturesConfig, among: str = ""
) -> Origin:
    """Who made scores: the checkpoint's model and training, with the features it is given now; its
    title says which pairs it scored, where not all (``among``)."""
    config, epoch = checkpoint.config, checkpoint.progress.get("epoch")
    family = family_of(config.model)
    ours = checkpoint.released is None  # a released file tells neither seed nor recipe
    if epoch is not None and not checkpoint.progress.get("step"):
        epoch -= 1  # both formats store how many epochs are done
    whole = family.whole(config.model)
    return Origin(
        checkpoint=str(path),
        model=family.title(config.model) + among,
        features=features.type,
        source=(checkpoint.source or UNKNOWN) if family.trains else ZERO_SHOT,
        revision=local_folder(str(path)).name if is_hub_word(path) else None,
        seed=config.run.seed if ours else None,
        epoch=epoch,
        config=config.model_copy(update={"features": features}).to_dict() if ours else None,
        whole=whole and replace(whole, title=whole.title + among),
    )


def _device(name: str, keep: Keep | None) -> torch.device:
    """A process group has given each process its GPU; those that share a folder have no group."""
    return resolve_device(name) if keep is None else local_device(name, keep.share.local_rank)


def origin_to_be(
    path: str, target: Target, choice: FeatureChoice, shortlist: Shortlist | None = None
) -> Origin:
    """The origin of scores that are still to be made. Raises InputError: no such checkpoint, or
    one of other features."""
    checkpoint = load_checkpoint(path)
    if shortlist is not None:
        target, choice = _applicable(target, choice, checkpoint)
    require_features(path, checkpoint, choice)
    features = retargeted(checkpoint.config, target, choice).features
    if shortlist is None:
        return origin_of(path, checkpoint, features)
    among = shortlist.among(load_checkpoint(shortlist.first_stage).title)
    origin = origin_of(path, checkpoint, features, among)
    return replace(origin, first_stage=shortlist.first_stage)


def score_checkpoint(
    path: str,
    target: Target,
    choice: FeatureChoice,
    needs_vectors: bool = False,
    shortlist: Shortlist | None = None,
    perturb: Sequence[str] = (),
    keep: Keep | None = None,
) -> Scored:
    """Encode a split once and score it with a checkpoint of either format; ``needs_vectors``
    refuses a family that scores pairs, before anything is encoded. A ``shortlist`` scores its
    candidates alone; ``perturb`` names what is scored again on changed captions or pictures;
    ``keep`` names a folder for the embeddings, which are scored as they are there. Raises
    InputError: anything wrong with checkpoint, files or arguments;
    :class:`lib.evaluation.encode_shards.Unscored`."""
    check_split(target.dataset, target.split)
    device = _device(target.device, keep)
    checkpoint = load_checkpoint(path)
    first_target, first_choice = target, FeatureChoice(images=choice.images)
    if shortlist is not None:
        stage = load_checkpoint(shortlist.first_stage)
        _require_stages((path, checkpoint), (shortlist.first_stage, stage))
        first_target, first_choice = _applicable(target, first_choice, stage)
        if unknown := target.locations.keys() - checkpoint.locations - stage.locations:
            raise InputError(f"--{min(unknown)} does not apply to either of the two stages")
        types = {of.config.features.type for of in (checkpoint, stage)}
        if choice.images is not None and "images" not in types:
            raise InputError("--images is for models that read pictures; neither stage does")
        target, choice = _applicable(target, choice, checkpoint)
    alone = keep is not None and keep.pictures_alone
    ready = open_checkpoint(path, checkpoint, target, choice, pictures_alone=alone)
    split, model = ready.split, ready.model
    if needs_vectors and model.pairwise:
        raise InputError(
            f"{path}: {checkpoint.title} scores pairs and has no vector per image to save; "
            "--save_results saves its scores"
        )
    _require_pictures(path, ready, perturb)
    for note in ready.notes if rank() == 0 else ():
        print(f"note: {note}", file=sys.stderr)
    first, among = None, ""
    if shortlist is not None:  # now that the second stage is known to be whole
        first = score_checkpoint(shortlist.first_stage, first_target, first_choice)
        among = shortlist.among(first.origin.model)
    batch_size = target.batch_size or encoding_batch(device)
    origin = origin_of(path, ready.checkpoint, ready.config.features, among)
    model.to(device)
    if keep is None:
        about = (split, ready.captions, batch_size, target.workers)
        embeddings = encode_split(model, *about, precision=target.precision)
    else:
        shards = encode_shards(keep, path, ready, target, origin)
        embeddings = Embeddings(shards.images, shards.captions)
    if shortlist is not None:
        origin = replace(origin, first_stage=shortlist.first_stage)
    started = time.perf_counter()
    if first is None or shortlist is None:
        scores = embeddings.blocks(model, target.precision)
        pairs = scores.shape[0] * scores.shape[1]
    else:
        folds = FOLDS if target.dataset == "coco" else 1
        found = matrix_of(first.scores)
        chosen = candidates(found, shortlist.count, folds)
        scores = rescore(found, chosen, embeddings, model, target.precision)
        pairs = int(chosen.sum())
    seconds = time.perf_counter() - started
    size = scores.shape[0] * scores.shape[1]
    note = f"scored {pairs:,} of {size:,} pairs in {seconds:.1f} s"
    if pairs < size:
        per_image, per_caption = (pairs / length for length in scores.shape)
        note += f", {per_image:.0f} captions per image and {per_caption:.0f} images per caption"
    note = note if model.pairwise else ""
    if keep is not None:
        note = f"scored from the {keep.dtype} vectors of {keep.folder}"
    changed = {name: _perturbed(name, ready, embeddings, target, batch_size) for name in perturb}
    return Scored(origin, split, scores, embeddings, note, perturbed=changed)


def _require_pictures(path: str, ready: Opened, perturb: Sequence[str]) -> None:
    """Refuse changed pictures for a model that reads none. Raises InputError."""
    wanted = [name for name in perturb if name in PICTURES]
    if wanted and not isinstance(ready.split.features, Pixels):
        raise InputError(
            f"--perturb {wanted[0]} changes pictures, and {path} reads features that are there "
            "already; --perturb words changes captions"
        )


def _perturbed(
    name: str, ready: Opened, embeddings: Embeddings, target: Target, batch_size: int
) -> Any:
    """(n, 5n) float32: the scores with every caption's wrong twin in its place, -inf where it has
    none; or with changed pictures."""
    model, split, precision = ready.model, ready.split, target.precision
    if name in PICTURES:
        assert isinstance(split.features, Pixels)
        changed = replace(split, features=split.features.changed(PICTURES[name]))
        about = (batch_size, target.workers, range(len(split.image_ids)), precision)
        images = encode_images(model, changed, *about)
        return replace(embeddings, images=images).blocks(model, precision)
    twins = swapped(split.captions)
    captions = tokenise([twin or "" for twin in twins], ready.tokenizer)
    found = encode_captions(
        model, captions, batch_size, len(twins), precision, name=f"twins of {split.name}"
    )
    absent = np.array([twin is None for twin in twins])
    return replace(embeddings, captions=found).blocks(model, precision, absent=absent)


def _applicable(
    target: Target, choice: FeatureChoice, checkpoint: Checkpoint
) -> tuple[Target, FeatureChoice]:
    """What of both applies to one of two stages: its own files, and pictures if it reads them."""
    known = {k: v for k, v in target.locations.items() if k in checkpoint.locations}
    images = choice.images if checkpoint.config.features.type == "images" else None
    return replace(target, locations=known), replace(choice, images=images)


def _require_stages(second: tuple[str, Checkpoint], first: tuple[str, Checkpoint]) -> None:
    """Refuse a shortlist that gains nothing, or whose first stage would take as long. Raises
    InputError."""
    scores_pairs = [family_of(c.config.model).pairwise for _, c in (second, first)]
    if not scores_pairs[0]:
        raise InputError(
            f"{second[0]}: {second[1].title} compares vectors, for which --shortlist gains nothing"
        )
    if scores_pairs[1]:
        raise InputError(
            f"{first[0]}: {first[1].title} scores pairs; --first_stage must be a model with a "
            "vector per image and caption"
        )
