"""What CMSEI's arrays of regions must hold: boxes and relations."""

import numpy as np


def box_problem(boxes: np.ndarray) -> str | None:
    """What is wrong with (K, 4) boxes that should be x1, y1, x2, y2."""
    wrong = np.flatnonzero((boxes[:, 2:] < boxes[:, :2]).any(axis=1))
    if not len(wrong):
        return None
    found = ", ".join(f"{value:g}" for value in boxes[wrong[0]])
    return f"a box {found}, expected x1, y1, x2, y2 (are these x, y, width, height?)"


def relation_problem(relations: np.ndarray) -> str | None:
    """What is wrong with a matrix of relations."""
    wrong = relations[(relations != 0) & (relations != 1)]
    return f"{wrong[0]:g}, expected 0 or 1" if len(wrong) else None
