"""Lets a frozen text network read each training caption once, where words are not augmented."""

import time

import torch

from lib.config import Config
from lib.data.captions import TokenisedCaptions
from lib.data.dataset import text_batches
from lib.device import encoding_batch, precision_context
from lib.evaluation.encode import Guard, evaluating
from lib.models.common.retrieval_model import RetrievalModel
from lib.models.common.word_cache import WordCache


def keep_frozen_words(
    model: RetrievalModel, captions: TokenisedCaptions, config: Config, guard: Guard
) -> str | None:
    """Fill the model's cache, if its text network is frozen and captions stay as they are; every
    process keeps all. ``guard`` is as in :func:`lib.evaluation.encode.encode_split`.

    Batches are by length and not those of training: in a resumed run they are the same.

    Returns what the log should say, or None where there is nothing to cache."""
    encoder = model.frozen_text_encoder()
    if encoder is None or config.data.word_augment > 0:
        return None
    # As training's products see them: under bf16 they are rounded in any case.
    dtype = torch.bfloat16 if config.train.precision == "bf16" else torch.float32
    lengths, limit = captions.lengths(), config.train.word_cache_gb
    size = WordCache.gigabytes(lengths, encoder.state_size, dtype)
    about = f"the frozen text network's states of {len(captions):,} training captions"
    if size > limit:
        return (
            f"{about} would take {size:.1f} GB, more than train.word_cache_gb = {limit:g}: they "
            "are computed anew in every epoch"
        )
    started = time.perf_counter()
    device = next(model.parameters()).device
    batches = text_batches(captions, len(captions), encoding_batch(device))
    with evaluating(model), precision_context(device, config.train.precision):
        encoder.fill_cache(guard(batches), lengths, dtype)
    return f"{about} are kept in {size:.2f} GB ({time.perf_counter() - started:.0f} s)"
