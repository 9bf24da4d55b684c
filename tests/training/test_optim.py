"""Parameter groups and the schedule of learning rates."""

import copy

import pytest
import torch

from lib.errors import InputError
from lib.training.loop import Run
from lib.training.losses import build_loss
from lib.training.optim import build_optimizer, rate_factor, restore_loss, restore_optimizer
from tests.support import fit


def test_three_groups_and_the_schedule(config):
    settings = config("train.lr=1e-3", "model.bert_lr_scale=0.1", "train.decay_epoch=15")
    run = Run(settings, resume=False, overwrite=False)
    groups = build_optimizer(run.model, settings.train, run.loss).param_groups
    assert [(g["name"], g["lr"], g["weight_decay"]) for g in groups] == [
        ("text_head", 1e-3, 1e-4), ("bert", 1e-4, 1e-4), ("image", 1e-3, 1e-4)
    ]  # fmt: skip
    grouped = [id(p) for g in groups for p in g["params"]]
    assert len(grouped) == len(set(grouped)) == len(list(run.model.parameters()))
    factors = [rate_factor(epoch, settings.train) for epoch in (0, 14, 15, 24)]
    assert factors == [1, 1, 0.1, 0.1]
    twice = config("train.decay_epoch=[20,40]").train
    factors = [rate_factor(epoch, twice) for epoch in (0, 19, 20, 39, 40, 49)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_without_weight_decay_it_is_adam(config):
    """AdamW, bit for bit."""
    run = Run(
        config("train.weight_decay=0", "train.lr=1e-3", "model.bert_lr_scale=1"), False, False
    )
    ours, other = run.model, copy.deepcopy(run.model)
    adam = torch.optim.Adam(other.parameters(), lr=1e-3, fused=True)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        for one, two in zip(ours.parameters(), other.parameters(), strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            two.grad = one.grad.clone()
        run.optimizer.step()
        adam.step()
    for one, two in zip(ours.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def _changed(state, change):
    change(state)
    return state


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["state"][2].update(exp_avg=torch.zeros(3)),
        lambda s: s["state"][2].update(exp_avg=torch.zeros(1).expand(10**9)),
        lambda s: s["state"][2].update(exp_avg_sq=s["state"][2]["exp_avg_sq"].double()),
        lambda s: s["state"][2].update(exp_avg=s["state"][2]["exp_avg"] * torch.nan),
        lambda s: s["state"][2].pop("step"),
        lambda s: s["state"].update({2: "x"}),
        lambda s: s["state"].update({9999: s["state"][2]}),
        lambda s: s.update(state=[]),
        lambda s: s.update(param_groups=[]),
        lambda s: s["param_groups"][0].update(betas=(0.9,)),
        lambda s: s["param_groups"][0].update(lr="x"),
        lambda s: s["param_groups"][0].update(params=[0]),
    ],
)
def test_a_state_of_other_shapes_is_refused(config, change):
    run = fit(config("train.epochs=1"))
    state = _changed(copy.deepcopy(run.optimizer.state_dict()), change)
    with pytest.raises(InputError, match=r"c\.pth: its optimizer's"):
        restore_optimizer(run.optimizer, state, "c.pth")


@pytest.mark.parametrize("state", [None, 3, {}])
def test_what_is_no_state_is_refused(config, state):
    run = Run(config(), False, False)
    with pytest.raises(InputError, match=r"c\.pth: its optimizer's"):
        restore_optimizer(run.optimizer, state, "c.pth")


def test_a_state_comes_back(config):
    run = fit(config("train.epochs=1"))
    state = copy.deepcopy(run.optimizer.state_dict())
    other = build_optimizer(run.model, run.config.train, run.loss)
    restore_optimizer(other, state, "c.pth")
    for number, kept in other.state_dict()["state"].items():
        assert all(torch.equal(value, state["state"][number][k]) for k, value in kept.items())


def test_a_temperature_learns_without_decay_and_comes_back(config):
    run = fit(config("train.loss=infonce", "train.epochs=1"))
    *_, group = run.optimizer.param_groups
    assert (group["name"], group["weight_decay"]) == ("loss", 0.0)
    state = run.loss.state_dict()
    assert abs(run.loss.temperature - 0.07) > 1e-4
    other = build_loss(run.config.train)
    restore_loss(other, state, "c.pth")
    assert other.temperature == run.loss.temperature
    for wrong in (None, {}, {"log_scale": torch.tensor(torch.nan)}, {"log_scale": torch.zeros(2)}):
        with pytest.raises(InputError, match=r"c\.pth: lacks what its loss has learned"):
            restore_loss(other, wrong, "c.pth")
