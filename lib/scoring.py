"""Scores a checkpoint on a split: what eval.py and eval_cross_ensemble.py share."""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from lib.checkpoint import Checkpoint, load_checkpoint, load_weights
from lib.config import PRECISIONS, PRECOMPUTED, Config, FeaturesConfig
from lib.data.captions import load_tokenizer, tokenise
from lib.data.features import Split, open_split
from lib.data.index import INDEX_FILE, FolderIndex
from lib.data.manifest import maker_notes
from lib.device import default_workers, encoding_batch, resolve_device
from lib.errors import InputError
from lib.evaluation.encode import Embeddings, encode_split
from lib.evaluation.protocols import DEFAULT_SPLITS, check_split
from lib.evaluation.results import UNKNOWN, Origin
from lib.models import build_model
from lib.models.pieces import set_limits
from lib.models.text import load_bert
from lib.processes import rank

GRID_FOLDER = "grids"  # where grid features are looked for if neither checkpoint nor user says


@dataclass(frozen=True)
class Scored:
    """A checkpoint's scores on a split."""

    origin: Origin
    split: Split
    scores: np.ndarray  # (n, 5n) float32
    embeddings: Embeddings


def add_arguments(parser: argparse.ArgumentParser, each: bool) -> None:
    """What to score on and how; ``each``: features are told per checkpoint, in their order."""
    several = {"nargs": "+"} if each else {}
    one = "per checkpoint; " if each else ""
    parser.add_argument("--data_path", required=True, help="holds <dataset>_precomp/")
    parser.add_argument("--dataset", required=True, choices=DEFAULT_SPLITS)
    parser.add_argument("--split", help="default: testall for coco, else test")
    parser.add_argument(
        "--features", choices=PRECOMPUTED, help=one + "default: as trained", **several
    )
    parser.add_argument(
        "--features_folder",
        help=one + "of one file per image, or of pictures; '' for *_ims.npy",
        **several,
    )
    parser.add_argument("--grid_size", help="side that grids are pooled to, or off")
    parser.add_argument("--bert", help="hub name or folder; needs only a config and a vocabulary")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument(
        "--batch_size", type=int, help="encoded at once; default: 128 on a GPU, 32 on a CPU"
    )
    parser.add_argument("--workers", type=int, default=default_workers(2))
    parser.add_argument("--precision", default="fp32", choices=PRECISIONS)
    parser.add_argument(
        "--pair_memory_gb",
        type=float,
        help="for a family that scores pairs; default: as trained",
    )


def check_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Fill in the split; leave with the usage where a value makes no sense."""
    args.split = args.split or DEFAULT_SPLITS[args.dataset]
    if args.pair_memory_gb is not None and not args.pair_memory_gb > 0:
        parser.error("--pair_memory_gb must be above 0")
    if (args.batch_size is not None and args.batch_size < 1) or args.workers < 0:
        parser.error("--batch_size must be at least 1, --workers at least 0")
    if args.grid_size not in (None, "off") and not (
        args.grid_size.isdecimal() and int(args.grid_size) > 0
    ):
        parser.error("--grid_size must be a number from 1, or off")


def origin_of(path: str | Path, checkpoint: Checkpoint, features: FeaturesConfig) -> Origin:
    """Who made scores: the checkpoint's model and training, with the features it is given now."""
    config, epoch = checkpoint.config, checkpoint.progress.get("epoch")
    ours = checkpoint.released is None  # a released file tells neither seed nor recipe
    finished = epoch is not None and not checkpoint.progress.get("step")
    return Origin(
        checkpoint=str(path),
        model=config.model.title,
        features=features.type,
        source=checkpoint.source or UNKNOWN,
        seed=config.run.seed if ours else None,
        epoch=epoch - 1 if finished else epoch,  # both formats store how many are done
        config=replace(config, features=features).to_dict() if ours else None,
    )


def load_model(
    checkpoint: Checkpoint, path: str | Path, bert: str | None
) -> tuple[nn.Module, PreTrainedTokenizerBase, PretrainedConfig]:
    """The model of a checkpoint on the CPU, its tokenizer, and the config of its BERT.

    Args:
        checkpoint: of either format.
        path: where it comes from, for errors.
        bert: hub name or folder of BERT's config and vocabulary; None: as trained.

    Raises:
        InputError: BERT is not to be had, or does not fit.
    """
    name = bert or checkpoint.config.model.bert
    tokenizer, encoder = load_tokenizer(name), load_bert(name, pretrained=False)
    model = build_model(checkpoint.config.model, encoder, pretrained=False)
    load_weights(model, checkpoint, path)
    return model, tokenizer, encoder.config


def score_checkpoint(
    path: str,
    args: argparse.Namespace,
    features_type: str | None,
    features_folder: str | None,
) -> Scored:
    """Encode a split once and score it.

    Args:
        path: a checkpoint of either format.
        args: of :func:`add_arguments`; its ``features`` and ``features_folder`` are not looked at,
            nor ``grid_size`` where the features are regions.
        features_type: ``region`` or ``grid``; None: as trained.
        features_folder: of one file per image; ``''`` for the split's array; None: as trained.

    Raises:
        InputError: anything wrong with checkpoint, files or arguments.
    """
    check_split(args.dataset, args.split)
    first = rank() == 0
    device = resolve_device(args.device)
    checkpoint = load_checkpoint(path)
    trained_on = checkpoint.config.features.type
    if checkpoint.released is None and features_type not in (None, trained_on):
        raise InputError(f"{path}: was trained on {trained_on} features, not on {features_type}")
    if first and checkpoint.released is not None and features_type is None:
        print(
            f"note: {path} is a released file, which does not tell its features; it gets regions "
            "(--features says otherwise)",
            file=sys.stderr,
        )
    config = _retarget(checkpoint.config, args, features_type, features_folder)
    index = FolderIndex(Path(path).parent / INDEX_FILE)
    split = open_split(config, args.split, index)
    check_split(args.dataset, args.split, len(split.image_ids))
    model, tokenizer, bert = load_model(checkpoint, path, args.bert)
    if model.pairwise and getattr(args, "save_embeddings", None):
        raise InputError(
            f"{path}: {checkpoint.config.model.title} has no vector per image to save, it scores "
            "pairs; --save_results saves these"
        )
    memory = args.pair_memory_gb or checkpoint.config.eval.pair_memory_gb
    set_limits(model, None, memory)
    captions = tokenise(split.captions, tokenizer, bert)
    mismatches = maker_notes(checkpoint.progress.get("makers", {}), split.makers)
    for note in (*index.notes, *mismatches, *captions.warnings(split.name)) if first else ():
        print(f"note: {note}", file=sys.stderr)
    if (
        first and checkpoint.released is None
    ):  # beside a run; a released file's folder is somebody's own
        index.save()
    batch_size = args.batch_size or encoding_batch(device)
    embeddings = encode_split(
        model.to(device), split, captions, batch_size, args.workers, precision=args.precision
    )
    origin = origin_of(path, checkpoint, config.features)
    return Scored(origin, split, embeddings.scores(model, args.precision), embeddings)


def _retarget(
    config: Config, args: argparse.Namespace, kind: str | None, folder: str | None
) -> Config:
    """The training's settings, with other data and other features where they are asked for."""
    features = config.features
    if kind is not None and kind != features.type:
        features = FeaturesConfig(type=kind, folder=GRID_FOLDER if kind == "grid" else None)
    if folder is not None:
        features = replace(features, folder=folder or None)
    if args.grid_size is not None and features.type == "grid":
        size = None if args.grid_size == "off" else int(args.grid_size)
        features = replace(features, grid_size=size)
    data = replace(config.data, root=args.data_path, dataset=args.dataset)
    return replace(config, data=data, features=features)
