"""The release's recalls of a matrix of scores that every machine makes anew."""

import numpy as np

from tests.golden import fill
from tests.support import GOLDEN

RECORDED = np.load(GOLDEN / "recall.npz")


def recorded_scores():
    images = fill.unit_rows("recall/images", (500, 64))
    noise = np.float32(3.2) * fill.unit_rows("recall/captions", (2500, 64))
    return images @ (np.repeat(images, 5, axis=0) + noise).T


def figures(side):
    return side.r1, side.r5, side.r10, side.median_rank, side.mean_rank
