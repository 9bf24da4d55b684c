"""Bidirectional hinge triplet loss on a score matrix (VSE-infinity; hardest form after VSE++)."""

import torch
from torch import Tensor


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
