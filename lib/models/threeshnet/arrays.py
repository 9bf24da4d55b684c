"""What 3SHNet's segmentation arrays must hold: shares, presences, and category numbers."""

import numpy as np

VOID = 255  # the label of no category


def share_problem(shares: np.ndarray) -> str | None:
    """What is wrong with shares of cells."""
    wrong = shares[(shares < 0) | (shares > 1.001)]  # float16 rounds, and sums may
    return f"a share of {wrong[0]:g}, expected 0 to 1" if len(wrong) else None


def presence_problem(presences: np.ndarray) -> str | None:
    """What is wrong with presences of categories."""
    wrong = presences[(presences != 0) & (presences != 1)]
    return f"{wrong[0]:g}, expected 0 or 1" if len(wrong) else None


def label_problem(categories: int, labels: np.ndarray) -> str | None:
    """What is wrong with a label map of so many categories."""
    whole = (labels >= 0) & (labels < categories) & (labels == np.floor(labels))
    wrong = labels[~(whole | (labels == VOID))]
    if not len(wrong):
        return None
    return f"the label {wrong[0]:g}, expected 0 to {categories - 1}, or {VOID} where void"
