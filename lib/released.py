"""The public release's checkpoint layout: the key map to our names, and its metadata."""

import argparse
import re
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertConfig

from lib.config import DATASETS, Config, DataConfig, ModelConfig, TrainConfig

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
POSITION_IDS = "bert.embeddings.position_ids"  # saved by some versions of transformers


def from_released(
    raw: dict[str, Any],
) -> tuple[Config, BertConfig, dict[str, Tensor], dict[str, Any]]:
    """Take a released dict apart: ``model`` is [image state, text state], keys behind ``module.``.

    Returns:
        Our config and BERT's, both inferred from shapes; the tensors under our names, unknown ones
        under their own; the other entries as plain values.

    Raises:
        KeyError: a tensor is missing that a size is read from.
    """
    image, text = ({k.removeprefix("module."): v for k, v in s.items()} for s in raw["model"])
    opt = vars(raw["opt"]) if isinstance(raw.get("opt"), argparse.Namespace) else {}
    state: dict[str, Tensor] = {}
    for (prefix, names), side in zip(SIDES, (image, text), strict=True):
        for key, value in side.items():
            if key != POSITION_IDS and f".{UNUSED_NORM}." not in key:
                state[prefix + _our_name(key, names)] = value
    metadata = {key: _plain(value) for key, value in raw.items() if key not in ("model", "opt")}
    metadata |= {"opt": _plain(opt), "position_ids": POSITION_IDS in text}
    dataset = dataset_of(opt)
    config = Config(
        data=DataConfig(dataset=dataset) if dataset else DataConfig(),
        model=_infer_model(image, opt),
        train=TrainConfig(margin=float(opt.get("margin", 0.2))),
    )
    return config, _infer_bert(text), state, metadata


def dataset_of(opt: Any) -> str | None:
    """The dataset that a released file's options name, as in ``data_name="coco_precomp"``."""
    named = str(opt.get("data_name")) if isinstance(opt, dict) else ""
    longest_first = sorted(DATASETS, key=len, reverse=True)
    return next((d for d in longest_first if f"{named}_".startswith(f"{d}_")), None)


def to_released(
    config: Config,
    model: dict[str, Tensor],
    progress: dict[str, Any],
    metadata: dict[str, Any] | None,
) -> dict[str, Any]:
    """The dict that the public release saves and loads.

    Args:
        config: of the whole model or of VSE-infinity; the release has no ablated one.
        model: tensors under our names.
        progress: epoch, best rSum and updates, for a run of ours.
        metadata: what :func:`from_released` returned, for a file that was a released one.
    """
    sides = []
    for prefix, _ in SIDES:
        side = {
            f"module.{released_name(key)}": value
            for key, value in model.items()
            if key.startswith(prefix)
        }
        sides.append(_with_unused_norms(side))
    metadata = dict(metadata or {})
    if metadata.pop("position_ids", True):
        positions = sides[1]["module.bert.embeddings.position_embeddings.weight"].shape[0]
        sides[1]["module." + POSITION_IDS] = torch.arange(positions)[None]
    opt = metadata.pop("opt", None) or {
        "data_path": config.data.root,
        "data_name": f"{config.data.dataset}_precomp",
        "img_dim": config.model.img_dim,
        "embed_size": config.model.embed_size,
        "map_size": config.model.map_size,  # the release has 64 and 7, and leaves these unread
        "cells": config.model.cells,
        "margin": config.train.margin,
        "no_imgnorm": not config.model.normalise_images,
        "no_txtnorm": not config.model.normalise_texts,
        "precomp_enc_type": "basic",
        "max_violation": True,
    }
    metadata = metadata or {
        "epoch": progress.get("epoch", 0),
        "best_rsum": progress.get("best_rsum", 0.0),
        "Eiters": progress.get("updates", 0),
    }
    return metadata | {"opt": argparse.Namespace(**opt), "model": sides}


def _our_name(key: str, names: dict[str, str]) -> str:
    """Our name of a released tensor; an unknown name comes back as it is, to be reported."""
    for released, ours in names.items():
        if key.startswith(released + "."):
            rest = key.removeprefix(released + ".")
            for inner, part in MLP_NAMES.items():
                rest = re.sub(rf"^{re.escape(inner)}\.", f"{part}.", rest)
            return f"{ours}.{rest}"
    return key


def released_name(key: str) -> str:
    """The released name, without ``module.``, of our tensor ``image_encoder...`` or
    ``text_encoder...``; an unknown name comes back as it is."""
    for prefix, names in SIDES:
        for released, ours in names.items():
            if key.startswith(f"{prefix}{ours}."):
                rest = key.removeprefix(f"{prefix}{ours}.")
                for inner, part in MLP_NAMES.items():
                    rest = re.sub(rf"^{part}\.", f"{inner}.", rest)
                return f"{released}.{rest}"
    return key.removeprefix("image_encoder.").removeprefix("text_encoder.")


def _with_unused_norms(side: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add the fresh, never used output norm that each released MLP carries."""
    fresh = {}
    for key, bias in side.items():
        if key.endswith(".layers.1.bias"):
            stem = key.removesuffix("layers.1.bias") + UNUSED_NORM
            norm = nn.BatchNorm1d(len(bias)).state_dict()
            fresh |= {f"{stem}.{name}": value for name, value in norm.items()}
    return side | fresh


def _infer_model(image: dict[str, Tensor], opt: dict[str, Any]) -> ModelConfig:
    size, img_dim = image["fc.weight"].shape
    config = ModelConfig(
        img_dim=img_dim,
        embed_size=size,
        normalise_images=not opt.get("no_imgnorm", False),
        normalise_texts=not opt.get("no_txtnorm", False),
        map_size=opt.get("map_size", 64),
        cells=opt.get("cells", 7),
    )
    if not any(key.startswith(("embed_", "seg_", "crossmodal", "fusion")) for key in image):
        return replace(config, segmentation=False)
    return replace(config, categories=image["embed_category.0.weight"].shape[1])


def _infer_bert(text: dict[str, Tensor]) -> BertConfig:
    vocabulary, hidden = text["bert.embeddings.word_embeddings.weight"].shape
    layers = {int(k.split(".")[3]) for k in text if k.startswith("bert.encoder.layer.")}
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=max(layers, default=-1) + 1,
        num_attention_heads=1,  # leaves no trace in the tensors
        intermediate_size=text["bert.encoder.layer.0.intermediate.dense.weight"].shape[0],
        max_position_embeddings=text["bert.embeddings.position_embeddings.weight"].shape[0],
        type_vocab_size=text["bert.embeddings.token_type_embeddings.weight"].shape[0],
    )


def _plain(value: Any) -> Any:
    """NumPy scalars as Python numbers, containers rebuilt; anything else as text."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, int | float | str | Tensor | None) else str(value)
