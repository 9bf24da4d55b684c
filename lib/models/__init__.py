"""The registry of model families. This file needs no torch until a model is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.models import clip, cmsei, lhsc, threeshnet
from lib.models.family import Family, FamilyConfig, Tokenizer

if TYPE_CHECKING:
    from lib.models.common.retrieval_model import RetrievalModel

FAMILIES: dict[str, Family] = {
    "threeshnet": threeshnet.Family(),
    "cmsei": cmsei.Family(),
    "lhsc": lhsc.Family(),
    "clip": clip.Family(),
}
DEFAULT = next(iter(FAMILIES))  # the family of a config that names none


def family_of(config: FamilyConfig) -> Family:
    """The family that a model's settings belong to."""
    return FAMILIES[config.family]


def location_options(searchable: bool = False) -> dict[str, str]:
    """Every family's settings that say where files are, with a line of help each; or only those of
    families that can be ``searchable``."""
    families = [f for f in FAMILIES.values() if not (searchable and f.pairwise)]
    return {name: line for family in families for name, line in family.locations.items()}


def build_model(
    config: FamilyConfig, tokenizer: Tokenizer, pretrained: bool = True
) -> RetrievalModel:
    """A model of ``config.family`` for the ids of ``tokenizer``, behind its backbone where there is
    one; ``pretrained=False`` leaves all weights random, for a checkpoint that brings its own.
    Raises InputError: the weights of the text network or of the backbone are unavailable."""
    model = family_of(config).build(config, tokenizer, pretrained)
    if config.backbone is None:
        return model
    # Nothing else imports torchvision.
    from lib.models.common.backbone_weights import build_backbone
    from lib.models.common.end_to_end import EndToEnd

    return EndToEnd(*build_backbone(config, pretrained), model)
