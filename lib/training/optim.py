"""AdamW's groups and the schedules (VSE-infinity's recipe, which 3SHNet follows)."""

from torch import nn
from torch.optim import AdamW

from lib.config import TrainConfig
from lib.models.pixels import FromPixels


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict]:
    """Groups with their base rates: text head, BERT, image encoder; score and backbone if any."""
    bert = list(model.text_encoder.bert.parameters())
    known = {id(p) for p in bert}
    head = [p for p in model.text_encoder.parameters() if id(p) not in known]
    image = list(model.image_encoder.parameters())
    groups = [
        {"name": "text_head", "params": head, "lr": config.lr},
        {"name": "bert", "params": bert, "lr": config.lr * config.bert_lr_scale},
        {"name": "image", "params": image, "lr": config.lr},
    ]
    known |= {id(p) for p in [*head, *image]}
    if isinstance(model, FromPixels):
        known |= {id(p) for p in model.backbone.parameters()}
    if score := [p for p in model.parameters() if id(p) not in known]:
        groups.append({"name": "score", "params": score, "lr": config.lr})
    if isinstance(model, FromPixels):
        params, rate = list(model.backbone.parameters()), config.lr * config.backbone_lr_scale
        groups.append({"name": "backbone", "params": params, "lr": rate})
    return groups


def build_optimizer(model: nn.Module, config: TrainConfig) -> AdamW:
    """AdamW over :func:`parameter_groups`, in one pass over each tensor."""
    return AdamW(parameter_groups(model, config), weight_decay=config.weight_decay, fused=True)


def choose_learning(model: nn.Module, epoch: int, config: TrainConfig) -> None:
    """Let the backbone learn from its epoch on, but for its frozen stages; others always do."""
    if isinstance(model, FromPixels):
        model.learn(config.frozen_stages if epoch >= config.backbone_epoch else None)


def rate_factor(epoch: int, share: float, config: TrainConfig, backbone: bool = False) -> float:
    """What every group's base rate is multiplied by.

    Args:
        epoch: counted from 0.
        share: of the epoch's updates that are done, in [0, 1).
        config: the schedule.
        backbone: whether the model has one, at whose first epoch all rates rise linearly from 0,
            unless that is the very first.
    """
    warming = backbone and 0 < config.backbone_epoch == epoch
    factor = config.decay if epoch >= config.decay_epoch else 1.0
    return factor * (share if warming else 1.0)


def set_rates(optimizer: AdamW, base: list[float], factor: float) -> None:
    """Give each group its base rate times ``factor``."""
    for group, rate in zip(optimizer.param_groups, base, strict=True):
        group["lr"] = rate * factor
