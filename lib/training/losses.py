"""Losses on a batch's score matrix: the hinge triplet loss in both directions (VSE-infinity;
hardest form after VSE++), and InfoNCE (Radford et al., ICML 2021, Fig. 3)."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lib.config import TrainConfig


def triplet_loss(
    scores: Tensor, margin: float, hardest: bool, image_indices: Tensor | None = None
) -> Tensor:
    """Hinge on every negative of a batch, or on the hardest of each row and column: () float, a sum
    over the batch, not a mean.

    Args:
        scores: (B, B) float; rows are images, columns captions, matched pairs on the diagonal.
        margin: by how much a matched pair must beat a negative, in units of the score.
        hardest: True adds the largest cost of each row and of each column; False adds all costs.
        image_indices: (B,) int64, which image each pair is of. If given, captions of one image
            are no negatives of each other; by default they are, as the published models trained."""
    matched = scores.diagonal()
    excluded = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    if image_indices is not None:
        excluded = image_indices[:, None] == image_indices
    captions = (margin + scores - matched[:, None]).relu().masked_fill(excluded, 0)
    images = (margin + scores - matched).relu().masked_fill(excluded, 0)
    if hardest:
        return captions.max(dim=1).values.sum() + images.max(dim=0).values.sum()
    return captions.sum() + images.sum()


LARGEST_SCALE = 100.0  # of the scores, as there (Sec. 2.5)


class Triplet(nn.Module):
    """:func:`triplet_loss` of a margin; it learns nothing."""

    def __init__(self, margin: float):
        super().__init__()
        self.margin = margin

    def limit(self) -> None:
        """Nothing to keep in bounds."""

    def forward(self, scores: Tensor, hardest: bool, image_indices: Tensor | None = None) -> Tensor:
        """As :func:`triplet_loss`."""
        return triplet_loss(scores, self.margin, hardest, image_indices)


class InfoNCE(nn.Module):
    """Which caption belongs to an image, and which image to a caption, each by a softmax over the
    batch of scores divided by a temperature, which is learned."""

    def __init__(self, temperature: float):
        """Start at ``temperature``; kept as the logarithm of its inverse, as there."""
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    @property
    def temperature(self) -> float:
        """By which scores are divided now."""
        return 1 / self.log_scale.exp().item()

    @torch.no_grad()
    def limit(self) -> None:
        """Keep the scale at most LARGEST_SCALE, after an update. In the forward pass a limit would
        have no gradient, and no way back from it."""
        self.log_scale.clamp_(max=math.log(LARGEST_SCALE))

    def forward(
        self, scores: Tensor, hardest: bool = False, image_indices: Tensor | None = None
    ) -> Tensor:
        """() float, a sum over the pairs of a batch of the mean of both directions' cross-entropy.

        Args:
            scores: (B, B) float; rows are images, columns captions, matched pairs on the diagonal.
            hardest: nothing here; a softmax weighs hard negatives most by itself.
            image_indices: as in :func:`triplet_loss`."""
        logits = scores * self.log_scale.exp()
        target = torch.arange(len(scores), device=scores.device)
        if image_indices is not None:
            same = image_indices[:, None] == image_indices
            logits = logits.masked_fill(same & (target[:, None] != target), -torch.inf)
        both = (cross_entropy(side, target, reduction="sum") for side in (logits, logits.T))
        return sum(both) / 2  # type: ignore[return-value]


def build_loss(config: TrainConfig) -> Triplet | InfoNCE:
    """The loss that ``train.loss`` names."""
    return Triplet(config.margin) if config.loss == "triplet" else InfoNCE(config.temperature)


def score_statistics(scores: Tensor) -> dict[str, float]:
    """Mean score of the matched pairs, and of the hardest negative caption of each image, and the
    gap between both."""
    diagonal = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    hardest = scores.masked_fill(diagonal, -torch.inf).max(dim=1).values.mean().item()
    positive = scores.diagonal().mean().item()
    return {
        "score/positive": positive,
        "score/hardest_negative": hardest,
        "score/gap": positive - hardest,
    }
