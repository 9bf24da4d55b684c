"""The public releases' checkpoint layout: 3SHNet's and VSE-infinity's names and ours. What a grid
model's image state has more of is in ``released_grid.py``."""

import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import nn
from transformers import BertConfig, BertModel

from lib.models.common.end_to_end import BACKBONE, FAMILY, behind
from lib.models.family import Plain, ReleasedLayout, ReleasedModel, State, without
from lib.models.threeshnet.config import Config, source_of
from lib.models.threeshnet.model import ThreeSHNet
from lib.weights import shapes_of

# Released prefix -> ours. An MLP's inner names are mapped by MLP_NAMES.
MLP_NAMES = {"layers.0": "hidden", "bns.0": "norm", "layers.1": "output"}
UNUSED_NORM = "bns.1"  # in every released MLP, never used by its forward
IMAGE_NAMES = {
    "embed_seg_C.1": "cell_embedding.linear",
    "embed_seg_C.4": "cell_embedding.norm",
    "embed_category.0": "category_embedding.linear",
    "embed_category.3": "category_embedding.norm",
    "crossmodalfusion_sm.MLP_image": "semantic.region_residual",
    "crossmodalfusion_sm.MLP_seg": "semantic.query_residual",
    "crossmodalfusion_sm.embed_seg_HW.2": "semantic.query_embedding.linear",
    "crossmodalfusion_sm.embed_seg_HW.5": "semantic.query_embedding.norm",
    "crossmodalfusion_sm.fc_scale": "semantic.gate",
    "crossmodalfusion_sm.fc_1": "semantic.output",
    "crossmodalfusion_sp.MLP_image": "spatial.query",
    "crossmodalfusion_sp.embedding_Seg.0": "spatial.key_conv",
    "crossmodalfusion_sp.embedding_Seg.1": "spatial.key_norm",
    "crossmodalfusion_sp.embed_fusion": "spatial.output",
    "fc": "projection",
    "mlp": "residual",
    "seg_mlp": "cell_residual",
    "gpool": "pooling",
    "fusion_mlp": "fusion",
}
TEXT_NAMES = {"bert": "bert", "linear": "projection", "gpool": "pooling"}
SIDES = (("image_encoder.", IMAGE_NAMES), ("text_encoder.", TEXT_NAMES))
SEGMENTATION = ("embed_", "seg_", "crossmodal", "fusion")  # parts that VSE-infinity lacks
POSITION_IDS = "bert.embeddings.position_ids"  # saved by some versions of transformers


class Layout(ReleasedLayout):
    """Two states, image and text, whose names begin with ``module.``."""

    def recognises(self, states: Sequence[State]) -> bool:
        """Whether there are an image state and a text state with BERT."""
        names = [[key.removeprefix("module.") for key in state] for state in states]
        return len(names) == 2 and any(name.startswith("bert.") for name in names[1])

    def read(self, states: Sequence[State], opt: dict[str, Any]) -> ReleasedModel:
        """Sizes come from shapes; ``extras`` keeps whether position ids were saved, and a
        backbone's classifier."""
        image, text = ({k.removeprefix("module."): v for k, v in side.items()} for side in states)
        own: dict[str, Any] = {}
        features: Plain = {}
        extras: Plain = {"position_ids": POSITION_IDS in text}
        backbone: State | None = None
        if any(key.startswith(BACKBONE) for key in image):
            released_grid = _grid()
            own, features = released_grid.settings_of(opt), released_grid.features_of(opt)
            backbone, image, extras["classifier"] = released_grid.split(image)
        state = {
            prefix + _our_name(key, names): value
            for (prefix, names), side in zip(SIDES, (image, text), strict=True)
            for key, value in side.items()
            if key != POSITION_IDS and f".{UNUSED_NORM}." not in key
        }
        config = _infer_config(image, opt, own)
        with torch.device("meta"):
            expected = ThreeSHNet(config, BertModel(_infer_bert(text))).state_dict()
        if backbone is not None:
            expected = behind(_grid().fresh_backbone(config), expected)
            state = behind(backbone, state)
        return ReleasedModel(config, state, shapes_of(expected), features, extras)

    def write(
        self, config: Config, features: Plain, state: State, extras: Plain
    ) -> tuple[list[State], Plain]:
        """Each MLP gets the fresh, never used output norm that the release saves."""
        family = {key.removeprefix(FAMILY): value for key, value in state.items()}
        states: list[State] = []
        for prefix, names in SIDES:
            own = {key: value for key, value in family.items() if key.startswith(prefix)}
            named = {_released_name(key, prefix, names): value for key, value in own.items()}
            states.append(_with_unused_norms(named))
        if extras.get("position_ids", True):
            positions = states[1]["bert.embeddings.position_embeddings.weight"].shape[0]
            states[1][POSITION_IDS] = torch.arange(positions)[None]
        grid: Plain = {}
        if config.backbone is not None:
            backbone = {
                key.removeprefix(BACKBONE): value
                for key, value in state.items()
                if key.startswith(BACKBONE)
            }
            head = extras.get("classifier", {})
            states[0] = _grid().joined(config, backbone, states[0], head)
            grid = _grid().options(config, features["image_size"])
        whole = [{f"module.{key}": value for key, value in side.items()} for side in states]
        return whole, {
            "img_dim": config.img_dim,
            "embed_size": config.embed_size,
            "map_size": config.map_size,  # the release has 64 and 7, and leaves these unread
            "cells": config.cells,
            "no_imgnorm": not config.normalise_images,
            "no_txtnorm": not config.normalise_texts,
            "precomp_enc_type": "basic",
            "max_violation": True,
            **grid,
        }

    def released_name(self, key: str) -> str:
        """Without ``module.``; an unknown name is returned as it is."""
        if key.startswith(BACKBONE):
            return _grid().released_name(key.removeprefix(BACKBONE))
        grid = _grid().ENCODER if key.startswith(f"{FAMILY}{SIDES[0][0]}") else ""
        own = key.removeprefix(FAMILY)
        for prefix, names in SIDES:
            if own.startswith(prefix):
                return grid + _released_name(own, prefix, names)
        return own

    def refusal(self, config: Config) -> str | None:
        """Backbones but VSE-infinity's, and ablations with some of the segmentation."""
        if config.backbone is not None:
            known = source_of(config) is not None and not config.residual
            return None if known else f"a backbone ({config.backbone}) with this model"
        if not config.residual:
            return "a grid model without a backbone"
        removed = without({"VSeM": config.vsem, "VSpM": config.vspm})
        return f"3SHNet{removed}" if removed and config.segmentation else None


def _grid() -> ModuleType:
    """``released_grid``, imported where a file needs it: it imports torchvision."""
    from lib.models.threeshnet import released_grid

    return released_grid


def _our_name(key: str, names: dict[str, str]) -> str:
    """Our name of a released tensor; an unknown name is returned as it is, to be reported."""
    for released, ours in names.items():
        if key.startswith(released + "."):
            rest = key.removeprefix(released + ".")
            for inner, part in MLP_NAMES.items():
                rest = re.sub(rf"^{re.escape(inner)}\.", f"{part}.", rest)
            return f"{ours}.{rest}"
    return key


def _released_name(key: str, prefix: str, names: dict[str, str]) -> str:
    """The released name of a side's tensor; an unknown name is returned without the prefix."""
    for released, ours in names.items():
        if key.startswith(f"{prefix}{ours}."):
            rest = key.removeprefix(f"{prefix}{ours}.")
            for inner, part in MLP_NAMES.items():
                rest = re.sub(rf"^{part}\.", f"{inner}.", rest)
            return f"{released}.{rest}"
    return key.removeprefix(prefix)


def _with_unused_norms(side: State) -> State:
    """Add the fresh, never used output norm that each released MLP carries."""
    fresh: State = {}
    for key, bias in side.items():
        if key.endswith(".layers.1.bias"):
            stem = key.removesuffix("layers.1.bias") + UNUSED_NORM
            norm = nn.BatchNorm1d(len(bias)).state_dict()
            fresh |= {f"{stem}.{name}": value for name, value in norm.items()}
    return side | fresh


def _infer_config(image: State, opt: dict[str, Any], own: dict[str, Any]) -> Config:
    size, img_dim = image["fc.weight"].shape
    segmentation = any(key.startswith(SEGMENTATION) for key in image)
    categories = image["embed_category.0.weight"].shape[1] if segmentation else 133
    return Config(
        img_dim=img_dim,
        embed_size=size,
        segmentation=segmentation,
        residual=not own,
        categories=categories,
        normalise_images=not opt.get("no_imgnorm", False),
        normalise_texts=not opt.get("no_txtnorm", False),
        map_size=opt.get("map_size", 64),
        cells=opt.get("cells", 7),
        **own,
    )


def _count(layers: set[int]) -> int:
    """The number of layers that are numbered without a gap."""
    if layers != set(range(len(layers))):
        raise ValueError(f"its BERT has {len(layers)} layers, one of them number {max(layers)}")
    return len(layers)


def _infer_bert(text: State) -> BertConfig:
    vocabulary, hidden = text["bert.embeddings.word_embeddings.weight"].shape
    layers = {int(k.split(".")[3]) for k in text if k.startswith("bert.encoder.layer.")}
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=_count(layers),
        num_attention_heads=1,  # leaves no trace in the tensors
        intermediate_size=text["bert.encoder.layer.0.intermediate.dense.weight"].shape[0],
        max_position_embeddings=text["bert.embeddings.position_embeddings.weight"].shape[0],
        type_vocab_size=text["bert.embeddings.token_type_embeddings.weight"].shape[0],
    )
