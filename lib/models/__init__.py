"""The table of model families."""

from torch import nn
from transformers import BertModel

from lib.config import ModelConfig
from lib.errors import InputError
from lib.models.cmsei import CMSEI
from lib.models.normalisation import normalisation_of
from lib.models.pixels import FromPixels
from lib.models.text import load_bert
from lib.models.threeshnet import ThreeSHNet

FAMILIES = {"threeshnet": ThreeSHNet, "cmsei": CMSEI}


def build_model(
    config: ModelConfig, bert: BertModel | None = None, pretrained: bool = True
) -> nn.Module:
    """A model of ``config.family``: ``encode_images``, ``encode_texts`` and ``score``.

    ``pairwise`` says whether a score takes more than a product of two vectors.

    Args:
        config: sizes and parts.
        bert: the sentence encoder's BERT; None loads ``config.bert``.
        pretrained: False leaves BERT and backbone random, for a checkpoint that brings its own.

    Raises:
        InputError: an unknown family, or BERT or the backbone's weights are not to be had.
    """
    if config.family not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise InputError(f"model.family is {config.family!r}, expected one of {known}")
    model = FAMILIES[config.family](config, bert or load_bert(config.bert, pretrained))
    if config.backbone is None:
        return model
    from lib.models.backbone import build_backbone  # brings torchvision, which nothing else needs

    backbone = build_backbone(config, pretrained)
    return FromPixels(backbone, normalisation_of(config.backbone_weights), model)
