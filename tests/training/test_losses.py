import math

import numpy as np
import pytest
import torch

from lib.config import TrainConfig
from lib.training.losses import InfoNCE, build_loss, score_statistics, triplet_loss
from tests.golden import fill
from tests.support import GOLDEN

RECORDED = np.load(GOLDEN / "triplet_loss.npz")


@pytest.mark.parametrize("form", ["sum", "hardest"])
def test_recorded_loss_and_gradients(form):
    images = fill.unit_rows("loss/images", (16, 1024))
    captions = fill.unit_rows("loss/captions", (16, 1024)) + np.float32(0.12) * images
    captions /= np.linalg.norm(captions, axis=1, keepdims=True)
    a, b = (torch.from_numpy(v).requires_grad_() for v in (images, captions))
    loss = triplet_loss(a @ b.T, margin=0.2, hardest=form == "hardest")
    loss.backward()
    expected = RECORDED[f"{form}/loss"]
    print(f"relative deviation {abs(loss.item() - expected) / expected:.1e}")
    assert loss.item() == pytest.approx(float(expected), rel=1e-4)
    for tensor, name in ((a, "images"), (b, "captions")):
        recorded = RECORDED[f"{form}/grad_{name}"]
        assert np.abs(tensor.grad.numpy() - recorded).max() <= 1e-4 * np.abs(recorded).max()


def plain_loss(scores, margin, hardest, image=None):
    n = len(scores)
    image = range(n) if image is None else image
    total = 0.0
    for i in range(n):
        negatives = [j for j in range(n) if image[j] != image[i]]
        captions = [max(0.0, margin + scores[i][j] - scores[i][i]) for j in negatives]
        images = [max(0.0, margin + scores[j][i] - scores[i][i]) for j in negatives]
        reduce = max if hardest else sum
        total += reduce([*captions, 0.0]) + reduce([*images, 0.0])
    return total


@pytest.mark.parametrize("hardest", [False, True])
@pytest.mark.parametrize("image", [None, [0, 1, 0, 2, 2, 2, 3]])
def test_equals_a_plain_loop(hardest, image):
    scores = torch.rand(7, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    indices = None if image is None else torch.tensor(image)
    found = triplet_loss(scores, 0.2, hardest, indices).item()
    assert found == pytest.approx(plain_loss(scores.tolist(), 0.2, hardest, image), abs=1e-12)


def test_satisfied_margins_cost_nothing():
    scores = torch.eye(4, requires_grad=True)
    loss = triplet_loss(scores, margin=0.2, hardest=True)
    loss.backward()
    assert loss.item() == 0
    assert scores.grad.abs().sum() == 0


def test_captions_of_one_image_are_negatives_unless_masked():
    scores = torch.tensor([[0.5, 0.9], [0.9, 0.5]])
    same = torch.tensor([4, 4])
    assert triplet_loss(scores, 0.2, hardest=True).item() == pytest.approx(4 * 0.6)
    assert triplet_loss(scores, 0.2, hardest=True, image_indices=same).item() == 0


def test_score_statistics():
    scores = torch.tensor([[0.8, 0.1, 0.3], [0.2, 0.6, 0.5], [0.0, 0.7, 0.4]])
    found = score_statistics(scores)
    assert found["score/positive"] == pytest.approx(0.6)
    assert found["score/hardest_negative"] == pytest.approx(0.5)
    assert found["score/gap"] == pytest.approx(0.1)


def plain_info_nce(scores, temperature, image=None):
    n = len(scores)
    image = range(n) if image is None else image
    total = 0.0
    for i in range(n):
        others = [j for j in range(n) if j == i or image[j] != image[i]]
        row = sum(math.exp(scores[i][j] / temperature) for j in others)
        column = sum(math.exp(scores[j][i] / temperature) for j in others)
        for together in (row, column):
            total -= math.log(math.exp(scores[i][i] / temperature) / together) / 2
    return total


@pytest.mark.parametrize("image", [None, [0, 1, 0, 2, 2, 2, 3]])
def test_info_nce_equals_a_plain_loop(image):
    scores = torch.rand(7, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    loss = InfoNCE(0.2).double()
    indices = None if image is None else torch.tensor(image)
    found = loss(scores, image_indices=indices)
    assert found.item() == pytest.approx(plain_info_nce(scores.tolist(), 0.2, image), rel=1e-6)
    found.backward()
    step = 1e-6  # the temperature's gradient, by differences of the plain loop
    ends = [
        plain_info_nce(scores.tolist(), 1 / math.exp(-math.log(0.2) + change), image)
        for change in (step, -step)
    ]
    slope = (ends[0] - ends[1]) / (2 * step)
    assert loss.log_scale.grad.item() == pytest.approx(slope, rel=1e-4)


def test_info_nce_of_one_pair_costs_nothing_and_its_scale_ends():
    loss = InfoNCE(0.07)
    assert loss(torch.rand(1, 1)).item() == 0
    assert loss.temperature == pytest.approx(0.07)
    with torch.no_grad():
        loss.log_scale.fill_(9.0)
    loss.limit()
    assert loss.temperature == pytest.approx(0.01)
    scores = torch.rand(3, 3)
    found = loss(scores)
    assert found.item() == pytest.approx(plain_info_nce(scores.tolist(), 0.01), rel=1e-4)


def test_a_temperature_comes_back_from_its_limit():
    loss = InfoNCE(0.01)
    scores = torch.rand(3, 3, generator=torch.Generator().manual_seed(0))
    loss(scores).backward()
    assert loss.log_scale.grad != 0
    loss.limit()
    assert loss.temperature == pytest.approx(0.01)


def test_the_setting_names_the_loss():
    triplet = build_loss(TrainConfig(margin=0.3))
    scores = torch.rand(5, 5)
    assert torch.equal(triplet(scores, True), triplet_loss(scores, 0.3, True))
    assert not list(triplet.parameters())
    assert build_loss(TrainConfig(loss="infonce", temperature=0.5)).temperature == pytest.approx(
        0.5
    )
