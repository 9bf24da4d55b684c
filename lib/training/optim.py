"""AdamW, its parameter groups and the schedules (VSE-infinity's recipe)."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from lib.config import TrainConfig
from lib.errors import InputError
from lib.models.common.end_to_end import EndToEnd
from lib.models.common.retrieval_model import ParameterGroup, RetrievalModel
from lib.weights import shapes_of


def parameter_groups(model: RetrievalModel, config: TrainConfig) -> list[ParameterGroup]:
    """The family's groups with their base rates, and the backbone's if there is one."""
    groups = model.parameter_groups(config.lr)
    if isinstance(model, EndToEnd):
        params, rate = list(model.backbone.parameters()), config.lr * config.backbone_lr_scale
        groups.append({"name": "backbone", "params": params, "lr": rate})
    return groups


def build_optimizer(model: RetrievalModel, config: TrainConfig, loss: nn.Module) -> AdamW:
    """Fused AdamW over :func:`parameter_groups`, and over what the ``loss`` learns, which no weight
    decay pulls to 0."""
    groups = parameter_groups(model, config)
    if learned := list(loss.parameters()):
        groups.append({"name": "loss", "params": learned, "lr": config.lr, "weight_decay": 0.0})
    return AdamW(groups, weight_decay=config.weight_decay, fused=True)


def restore_optimizer(optimizer: AdamW, state: Any, source: str) -> None:
    """Load a saved state that fits: the groups of this optimizer, and for each parameter moments
    of its shape, finite float32. An optimizer that is given anything else fails in native code.
    Raises InputError, which begins with ``source``."""
    fresh = optimizer.state_dict()
    groups = list(map(_typed, fresh["param_groups"]))
    found: Any = state.get("param_groups") if isinstance(state, dict) else None
    moments: Any = state.get("state") if isinstance(state, dict) else None
    lists = isinstance(found, list) and all(isinstance(group, dict) for group in found)
    if not lists or list(map(_typed, found)) != groups:
        raise InputError(f"{source}: its optimizer's groups are not those of this run")
    if not all(type(group.get("lr")) is float and math.isfinite(group["lr"]) for group in found):
        raise InputError(f"{source}: its optimizer's rates are no numbers")
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if not isinstance(moments, dict) or not moments.keys() <= set(range(len(parameters))):
        raise InputError(f"{source}: its optimizer's state is not of this run's parameters")
    for number, kept in moments.items():
        shape = tuple(parameters[number].shape)
        expected = {"step": (), "exp_avg": shape, "exp_avg_sq": shape}
        if not isinstance(kept, dict) or shapes_of(kept) != expected:
            raise InputError(f"{source}: its optimizer's moments {number} are not of shape {shape}")
        for name, tensor in kept.items():
            if not isinstance(tensor, Tensor) or tensor.dtype != torch.float32:
                raise InputError(f"{source}: its optimizer's {name} {number} is not float32")
            if not tensor.isfinite().all():
                raise InputError(f"{source}: its optimizer's {name} {number} is NaN or infinite")
    optimizer.load_state_dict(state)


def restore_loss(loss: nn.Module, state: Any, source: str) -> None:
    """Load what a loss has learned, if it learns anything. Raises InputError, which begins with
    ``source``: another loss's state, or no finite one."""
    own = loss.state_dict()
    if not own:
        return
    fits = isinstance(state, dict) and shapes_of(state) == shapes_of(own)
    if not fits or not all(isinstance(v, Tensor) and v.isfinite().all() for v in state.values()):
        raise InputError(f"{source}: lacks what its loss has learned")
    loss.load_state_dict(state)


def _typed(group: dict[str, Any]) -> dict[str, tuple[type, Any]]:
    """A group's settings but its rate, with their types: a tensor would not compare."""
    return {key: (type(value), value) for key, value in group.items() if key != "lr"}


def set_trainable(model: RetrievalModel, epoch: int, config: TrainConfig) -> None:
    """Unfreeze the backbone, except ``frozen_stages``, from ``backbone_epoch`` on."""
    if not isinstance(model, EndToEnd):
        return
    if epoch >= config.backbone_epoch:
        model.unfreeze_backbone(config.frozen_stages)
    else:
        model.freeze_backbone()


def loss_factor(epoch: int, share: float, config: TrainConfig, backbone: bool) -> float:
    """The factor on the loss in an epoch, counted from 0, of whose updates a share in [0, 1) is
    done: in the epoch in which a backbone begins to learn, unless that is epoch 0, it rises
    linearly from 0 (VSE-infinity's warm-up; Adam and clipping leave little of it)."""
    return share if backbone and 0 < config.backbone_epoch == epoch else 1.0


def rate_factor(epoch: int, config: TrainConfig) -> float:
    """The factor on every group's base rate in an epoch, counted from 0."""
    decays = config.decay_epoch if isinstance(config.decay_epoch, list) else [config.decay_epoch]
    return config.decay ** sum(epoch >= first for first in decays)


def set_rates(optimizer: AdamW, base: list[float], factor: float) -> None:
    """Give each group its base rate times ``factor``."""
    for group, rate in zip(optimizer.param_groups, base, strict=True):
        group["lr"] = rate * factor
