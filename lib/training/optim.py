"""AdamW, its parameter groups and the schedules (VSE-infinity's recipe)."""

from torch.optim import AdamW

from lib.config import TrainConfig
from lib.models.common.end_to_end import EndToEnd
from lib.models.common.retrieval_model import ParameterGroup, RetrievalModel


def parameter_groups(model: RetrievalModel, config: TrainConfig) -> list[ParameterGroup]:
    """The family's groups with their base rates, and the backbone's if there is one."""
    groups = model.parameter_groups(config.lr)
    if isinstance(model, EndToEnd):
        params, rate = list(model.backbone.parameters()), config.lr * config.backbone_lr_scale
        groups.append({"name": "backbone", "params": params, "lr": rate})
    return groups


def build_optimizer(model: RetrievalModel, config: TrainConfig) -> AdamW:
    """Fused AdamW over :func:`parameter_groups`."""
    return AdamW(parameter_groups(model, config), weight_decay=config.weight_decay, fused=True)


def set_trainable(model: RetrievalModel, epoch: int, config: TrainConfig) -> None:
    """Unfreeze the backbone, except ``frozen_stages``, from ``backbone_epoch`` on."""
    if not isinstance(model, EndToEnd):
        return
    if epoch >= config.backbone_epoch:
        model.unfreeze_backbone(config.frozen_stages)
    else:
        model.freeze_backbone()


def rate_factor(epoch: int, share: float, config: TrainConfig, backbone: bool = False) -> float:
    """The factor on every group's base rate in an epoch, counted from 0, of whose updates a share
    in [0, 1) is done. With a backbone all rates rise linearly from 0 in the epoch in which it
    begins to learn, unless that is epoch 0."""
    warming = backbone and 0 < config.backbone_epoch == epoch
    factor = config.decay if epoch >= config.decay_epoch else 1.0
    return factor * (share if warming else 1.0)


def set_rates(optimizer: AdamW, base: list[float], factor: float) -> None:
    """Give each group its base rate times ``factor``."""
    for group, rate in zip(optimizer.param_groups, base, strict=True):
        group["lr"] = rate * factor
