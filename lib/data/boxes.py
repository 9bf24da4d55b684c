"""Boxes of regions, and relations between them from somebody's scene graphs (CMSEI)."""

import numpy as np


def box_problem(boxes: np.ndarray) -> str | None:
    """What is wrong with (K, 4) boxes that should be x1, y1, x2, y2."""
    wrong = np.flatnonzero((boxes[:, 2:] < boxes[:, :2]).any(axis=1))
    if not len(wrong):
        return None
    found = ", ".join(f"{value:g}" for value in boxes[wrong[0]])
    return f"a box {found}, which is no x1, y1, x2, y2 (x, y, width, height perhaps)"


def relation_problem(relations: np.ndarray) -> str | None:
    """What is wrong with a matrix of relations."""
    wrong = relations[(relations != 0) & (relations != 1)]
    return f"{wrong[0]:g}, expected 0 or 1" if len(wrong) else None


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair of boxes.

    Args:
        boxes: (K, 4) float; x1, y1, x2, y2.
        others: (M, 4) float.

    Returns:
        (K, M) float in [0, 1]; 0 where both are empty.
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    areas, other_areas = (np.clip(b[:, 2:] - b[:, :2], 0, None).prod(-1) for b in (boxes, others))
    union = areas[:, None] + other_areas - shared
    return np.divide(shared, union, out=np.zeros_like(union), where=union > 0)


def relations_between(
    regions: np.ndarray, objects: np.ndarray, pairs: np.ndarray
) -> tuple[np.ndarray, int]:
    """A scene graph's relations, between an image's regions.

    Each object is the region that it overlaps most.

    Args:
        regions: (K, 4) float boxes.
        objects: (M, 4) float, the boxes of the scene graph's objects.
        pairs: (P, 2) integers, subject and object of each relation.

    Returns:
        (K, K) uint8, 1 where row (subject) relates to column (object); and how many relations were
        lost, because an object overlaps no region or both are the same region.
    """
    matrix = np.zeros((len(regions), len(regions)), np.uint8)
    if len(pairs) == 0:
        return matrix, 0
    shares = overlaps(objects, regions)
    nearest = np.where(shares.max(axis=1) > 0, shares.argmax(axis=1), -1)
    subject, target = nearest[pairs[:, 0]], nearest[pairs[:, 1]]
    kept = (subject >= 0) & (target >= 0) & (subject != target)
    matrix[subject[kept], target[kept]] = 1
    return matrix, int((~kept).sum())
