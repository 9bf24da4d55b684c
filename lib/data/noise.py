"""Noisy correspondence: a share of the training captions is paired with other images, as in studies
of robustness (NCR, Huang et al., NeurIPS 2021; PCME++, Chun, ICLR 2024)."""

import numpy as np

from lib.data.captions import CAPTIONS_PER_IMAGE

STREAM = 31  # apart from batches' and augmentation's draws


def image_of_each(captions: int, ratio: float, seed: int) -> np.ndarray:
    """(captions,) int64: the image that each caption is paired with. Of ``ratio`` of them, drawn by
    ``seed``, it is the image of another one of these, and never their own; where they are too few
    to be exchanged (fewer than two images' captions), their own."""
    own = np.arange(captions) // CAPTIONS_PER_IMAGE
    generator = np.random.default_rng((seed, STREAM))
    count = round(ratio * captions)
    chosen = generator.permutation(captions)[:count]
    if count < 2 * CAPTIONS_PER_IMAGE:
        return own
    # Images in random order, their chosen captions side by side: each takes the image of the one
    # five places on, which is past its own.
    place = generator.permutation(captions // CAPTIONS_PER_IMAGE + 1)
    ordered = chosen[np.argsort(place[own[chosen]], kind="stable")]
    paired = own.copy()
    paired[ordered] = own[np.roll(ordered, -CAPTIONS_PER_IMAGE)]
    return paired
