"""Checkpoints: our own format, the public release's, and the key map between them."""

import argparse
import pickle
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from lib.config import Config, DataConfig, ModelConfig, TrainConfig, from_dict
from lib.errors import InputError
from lib.files import replacing
from lib.models import build_model

FORMAT = "3SHNet"
VERSION = 1

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


@dataclass
class Checkpoint:
    """Weights and what belongs to them, whichever file they came from."""

    config: Config
    model: dict[str, Tensor]
    progress: dict[str, Any] = field(default_factory=dict)  # epoch, step, rsum, best_rsum
    training: dict[str, Any] | None = None  # optimizer and random states; None: not resumable
    released: dict[str, Any] | None = None  # metadata of a released file, as plain values


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write our own format; the file at ``path`` is replaced only when the new one is whole.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    plain = {
        "format": FORMAT,
        "version": VERSION,
        "config": checkpoint.config.to_dict(),
        "model": checkpoint.model,
        "progress": checkpoint.progress,
        "training": checkpoint.training,
        "released": checkpoint.released,
    }
    with replacing(path) as temporary:
        torch.save(plain, temporary)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read our own format or a released file, tensors on the CPU.

    Raises:
        InputError: no such file, cut short, unsafe content, or another architecture.
    """
    raw = _read(Path(path))
    if isinstance(raw, dict) and raw.get("format") == FORMAT:
        if raw["version"] != VERSION:
            found = raw["version"]
            raise InputError(f"{path}: has version {found}, this code reads version {VERSION}")
        config = from_dict(raw["config"], str(path))
        return Checkpoint(config, *(raw[k] for k in ("model", "progress", "training", "released")))
    if isinstance(raw, dict) and isinstance(raw.get("model"), list) and len(raw["model"]) == 2:
        return from_released(raw, path)
    found = f"a dict with {', '.join(map(str, list(raw)[:6]))}" if isinstance(raw, dict) else raw
    raise InputError(
        f"{path}: is neither a checkpoint of this project nor a released 3SHNet or VSE-infinity "
        f"one (found {found if isinstance(found, str) else type(raw).__name__})"
    )


def load_weights(model: nn.Module, checkpoint: Checkpoint, path: str | Path) -> None:
    """Copy the checkpoint's tensors into ``model``, all of them or none.

    Raises:
        InputError: missing, unexpected or differently shaped tensors, by name.
    """
    _compare(_shapes(model.state_dict()), _shapes(checkpoint.model), path)
    model.load_state_dict(checkpoint.model)


def from_released(raw: dict[str, Any], path: str | Path) -> Checkpoint:
    """A released dict (``model``: [image state, text state], keys behind ``module.``) as ours.

    Raises:
        InputError: missing, unexpected or differently shaped tensors, by their released names.
    """
    image, text = ({k.removeprefix("module."): v for k, v in s.items()} for s in raw["model"])
    opt = vars(raw["opt"]) if isinstance(raw.get("opt"), argparse.Namespace) else {}
    try:
        model_config = _infer_model(image, opt)
        bert_config = _infer_bert(text)
    except KeyError as error:
        raise InputError(f"{path}: lacks {error.args[0]}, which every released file has") from None
    state: dict[str, Tensor] = {}
    for (prefix, names), side in zip(SIDES, (image, text), strict=True):
        for key, value in side.items():
            if key != POSITION_IDS and f".{UNUSED_NORM}." not in key:
                state[prefix + _ours(key, names)] = value
    with torch.device("meta"):
        expected = build_model(model_config, BertModel(bert_config)).state_dict()
    _compare(_shapes(expected), _shapes(state), path, _released_name)
    metadata = {key: _plain(value) for key, value in raw.items() if key not in ("model", "opt")}
    metadata["opt"] = _plain(opt)
    metadata["position_ids"] = POSITION_IDS in text
    config = Config(
        data=DataConfig(dataset=str(opt.get("data_name", "coco")).split("_")[0]),
        model=model_config,
        train=TrainConfig(margin=float(opt.get("margin", 0.2))),
    )
    progress = {"epoch": metadata.get("epoch"), "best_rsum": metadata.get("best_rsum")}
    return Checkpoint(config, state, progress, released=metadata)


def to_released(checkpoint: Checkpoint, path: str | Path) -> dict[str, Any]:
    """Our checkpoint as the dict that the public release saves and loads.

    Raises:
        InputError: a model that the release has no place for (an ablated branch).
    """
    model, data = checkpoint.config.model, checkpoint.config.data
    if model.segmentation and not (model.vsem and model.vspm):
        raise InputError(f"{path}: lacks a branch, and the release has only the whole model")
    sides = []
    for prefix, _ in SIDES:
        side = {
            "module." + _released_name(key): value
            for key, value in checkpoint.model.items()
            if key.startswith(prefix)
        }
        sides.append(_with_unused_norms(side))
    metadata = dict(checkpoint.released or {})
    if metadata.pop("position_ids", True):
        positions = sides[1]["module.bert.embeddings.position_embeddings.weight"].shape[0]
        ids = {"module." + POSITION_IDS: torch.arange(positions).expand(1, -1).contiguous()}
        sides[1] |= ids
    opt = metadata.pop("opt", None) or {
        "data_path": data.root,
        "data_name": f"{data.dataset}_precomp",
        "img_dim": model.img_dim,
        "embed_size": model.embed_size,
        "margin": checkpoint.config.train.margin,
        "no_imgnorm": not model.normalise_images,
        "no_txtnorm": not model.normalise_texts,
        "precomp_enc_type": "basic",
        "max_violation": True,
    }
    progress = checkpoint.progress
    metadata = metadata or {
        "epoch": progress.get("epoch", 0),
        "best_rsum": progress.get("best_rsum", 0.0),
        "Eiters": progress.get("updates", 0),
    }
    return metadata | {"opt": argparse.Namespace(**opt), "model": sides}


def save_released(path: str | Path, raw: dict[str, Any]) -> None:
    """Write what :func:`to_released` made, atomically."""
    with replacing(path) as temporary:
        torch.save(raw, temporary)


def _read(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint file")
    scalar = np.float64(0).__reduce__()[0]
    allowed = [
        argparse.Namespace,
        scalar,
        (scalar, "numpy.core.multiarray.scalar"),  # its name before NumPy 2
        np.dtype,
        *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8")),
    ]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        name = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"it names {name[1]}" if name else "it is no whole pickle"
        raise InputError(
            f"{path}: refused, because a checkpoint may hold tensors and plain values only and "
            f"{what}; loading it could run foreign code"
        ) from error
    except Exception as error:  # a damaged file fails inside torch in ways that are not listed
        raise InputError(
            f"{path}: cannot be read as a checkpoint ({str(error).splitlines()[0]}); "
            f"is it cut short? It holds {path.stat().st_size:,} bytes"
        ) from error


def _shapes(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items()}


def _compare(
    expected: dict[str, tuple[int, ...]],
    found: dict[str, tuple[int, ...]],
    path: str | Path,
    rename: Callable[[str], str] = str,
) -> None:
    def listing(label: str, names: Iterable[str]) -> str:
        names = sorted(names)
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        return f"{len(names)} {label}: {', '.join(names[:5])}{more}" if names else ""

    shapes = [
        f"{rename(key)} {found[key]} instead of {shape}"
        for key, shape in expected.items()
        if key in found and found[key] != shape
    ]
    problems = (
        listing("tensors missing", map(rename, expected.keys() - found.keys())),
        listing("tensors unexpected", map(rename, found.keys() - expected.keys())),
        listing("tensors of another shape", shapes),
    )
    if any(problems):
        raise InputError(f"{path}: does not fit the model; " + "; ".join(filter(None, problems)))


def _ours(key: str, names: dict[str, str]) -> str:
    """Our name of a released tensor; an unknown name comes back as it is, to be reported."""
    for released, ours in names.items():
        if key.startswith(released + "."):
            rest = key.removeprefix(released + ".")
            for inner, part in MLP_NAMES.items():
                rest = re.sub(rf"^{re.escape(inner)}\.", f"{part}.", rest)
            return f"{ours}.{rest}"
    return key


def _released_name(key: str) -> str:
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
