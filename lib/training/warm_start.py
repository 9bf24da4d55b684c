"""Starts a run from the weights of another one, for fine-tuning."""

import torch

from lib.checkpoint import Checkpoint, load_checkpoint
from lib.config import Config
from lib.data.provenance import Extractor, mismatches
from lib.errors import InputError, few
from lib.models import build_model, family_of
from lib.models.common.retrieval_model import RetrievalModel
from lib.models.family import Tokenizer
from lib.weights import require_same_dtypes, shapes_of


def initialise(model: RetrievalModel, checkpoint: Checkpoint, path: str) -> list[str]:
    """Copy a checkpoint's tensors into ``model``, but for those of another size, which keep their
    fresh values.

    Returns the names and sizes of those, for the log. Raises InputError: a tensor of the model is
    missing in the checkpoint or the reverse, or no weight fits."""
    own = model.state_dict()
    expected, found = shapes_of(own), shapes_of(checkpoint.model)
    problems = [
        f"{what} {few(sorted(names))}"
        for what, names in (
            ("lacks", expected.keys() - found.keys()),
            ("has besides", found.keys() - expected.keys()),
        )
        if names
    ]
    if problems:
        raise InputError(
            f"{path}: is of another model than this run's, and cannot be its train.init: it "
            f"{' and '.join(problems)}"
        )
    fitting = {name: t for name, t in checkpoint.model.items() if found[name] == expected[name]}
    if not any(own[name].dim() > 1 for name in fitting):
        raise InputError(f"{path}: no weight of it has the size of this run's")
    require_same_dtypes({name: own[name] for name in fitting}, fitting, f"{path}: does not fit")
    model.load_state_dict(fitting, strict=False)
    return [
        f"{name} {found[name]} instead of {expected[name]}" for name in own if name not in fitting
    ]


def read_init(config: Config) -> Checkpoint:
    """The checkpoint that ``train.init`` names. Raises InputError: it cannot be read, or is of
    another family than the run's."""
    path = str(config.train.init)
    checkpoint = load_checkpoint(path)
    theirs, own = checkpoint.config.model, config.model
    if theirs.family != own.family:
        titles = [family_of(model).title(model) for model in (theirs, own)]
        raise InputError(f"{path}: is of {titles[0]}, and cannot be the train.init of {titles[1]}")
    return checkpoint


def warm_start(
    config: Config, tokenizer: Tokenizer, checkpoint: Checkpoint, extractors: dict[str, Extractor]
) -> tuple[RetrievalModel, list[str]]:
    """A run's model with the weights of its ``train.init``, which ``checkpoint`` is, and what the
    log says of it; ``extractors`` made the run's features. Raises InputError: as
    :func:`initialise`, or a part that does not fit needs pretrained weights, which are unavailable.
    """
    path = str(config.train.init)
    model = build_model(config.model, tokenizer, pretrained=False)
    other = initialise(model, checkpoint, path)
    if other:  # then parts of pretrained networks may be among them
        torch.manual_seed(config.run.seed)
        model = build_model(config.model, tokenizer, pretrained=True)
        initialise(model, checkpoint, path)
    source = checkpoint.source or "a dataset that it does not tell"
    lines = [f"starts from the weights of {path}, trained on {source}"]
    if tokenizer.vocabulary_file() is not None:
        lines.append(
            f"its vocabulary of {len(tokenizer.begins_word):,} entries is {path}'s; words that it "
            "lacks are unknown"
        )
    before, now = checkpoint.config.features.type, config.features.type
    if before != now and not checkpoint.is_released:
        lines.append(f"{path} was trained on {before} features, and this run gets {now}")
    if other:
        lines.append(
            f"{len(other)} parts of {path} are of another size and start anew: {', '.join(other)}"
        )
    trained = checkpoint.progress.get("extractors") or {}
    return model, lines + (mismatches(trained, extractors) if trained else [])
