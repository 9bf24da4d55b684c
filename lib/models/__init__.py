"""The table of model families."""

from torch import nn
from transformers import BertModel

from lib.config import ModelConfig
from lib.errors import InputError
from lib.models.text import load_bert
from lib.models.threeshnet import ThreeSHNet

FAMILIES = {"threeshnet": ThreeSHNet}


def build_model(config: ModelConfig, bert: BertModel | None = None) -> nn.Module:
    """A model of ``config.family``: ``encode_images``, ``encode_texts`` and ``score``.

    Args:
        config: sizes and parts.
        bert: the sentence encoder's BERT; None loads ``config.bert`` with its pretrained weights.

    Raises:
        InputError: an unknown family, or BERT is not to be had.
    """
    if config.family not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise InputError(f"model.family is {config.family!r}, expected one of {known}")
    return FAMILIES[config.family](config, bert or load_bert(config.bert, pretrained=True))
