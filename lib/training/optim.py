"""AdamW's groups and the rate schedule (VSE-infinity's recipe, which 3SHNet follows)."""

from torch import nn
from torch.optim import AdamW

from lib.config import TrainConfig


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict]:
    """Three named groups with their base rates: text head, BERT, image encoder."""
    bert = list(model.text_encoder.bert.parameters())
    known = {id(p) for p in bert}
    head = [p for p in model.text_encoder.parameters() if id(p) not in known]
    image = list(model.image_encoder.parameters())
    return [
        {"name": "text_head", "params": head, "lr": config.lr},
        {"name": "bert", "params": bert, "lr": config.lr * config.bert_lr_scale},
        {"name": "image", "params": image, "lr": config.lr},
    ]


def build_optimizer(model: nn.Module, config: TrainConfig) -> AdamW:
    """AdamW over :func:`parameter_groups`."""
    return AdamW(parameter_groups(model, config), weight_decay=config.weight_decay)


def rate_factor(epoch: int, config: TrainConfig) -> float:
    """What every group's base rate is multiplied by in ``epoch``, counted from 0."""
    return config.decay if epoch >= config.decay_epoch else 1.0


def set_rates(optimizer: AdamW, base: list[float], factor: float) -> None:
    """Give each group its base rate times ``factor``."""
    for group, rate in zip(optimizer.param_groups, base, strict=True):
        group["lr"] = rate * factor
