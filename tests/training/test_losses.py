import numpy as np
import pytest
import torch

from lib.training.losses import score_statistics, triplet_loss
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
