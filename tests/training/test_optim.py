"""Parameter groups and the schedule of learning rates."""

from lib.training.loop import Run
from lib.training.optim import build_optimizer, rate_factor


def test_three_groups_and_the_schedule(config):
    settings = config("train.lr=1e-3", "model.bert_lr_scale=0.1", "train.decay_epoch=15")
    run = Run(settings, resume=False, overwrite=False)
    groups = build_optimizer(run.model, settings.train).param_groups
    assert [(g["name"], g["lr"], g["weight_decay"]) for g in groups] == [
        ("text_head", 1e-3, 1e-4), ("bert", 1e-4, 1e-4), ("image", 1e-3, 1e-4)
    ]  # fmt: skip
    grouped = [id(p) for g in groups for p in g["params"]]
    assert len(grouped) == len(set(grouped)) == len(list(run.model.parameters()))
    factors = [rate_factor(epoch, 0.5, settings.train) for epoch in (0, 14, 15, 24)]
    assert factors == [1, 1, 0.1, 0.1]
