"""The three segmentation arrays of a picture, from its panoptic label map.

Published are the arrays' shapes and their source (UPSNet), not the recipe of ``segmentations``; it
is inferred from DIFNet's features of the same shape and source: the share of each of 7 x 7 cells
that a category covers. The recipe stands in :func:`arrays_of` alone."""

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import adaptive_avg_pool2d

CATEGORIES = 133
CELLS = 7
MAP_SIZE = 64
VOID = 255  # the label of no category


def arrays_of(
    labels: np.ndarray, cells: int = CELLS, map_size: int = MAP_SIZE
) -> dict[str, np.ndarray]:
    """The arrays of (H, W) uint8 UPSNet numbers, 255 where void: ``segmentations`` (133, cells,
    cells) float32, shares in [0, 1] (adaptive average of each category's mask); ``seg_maps``
    (map_size, map_size) uint8, nearest neighbour; ``cat_onehots`` (133,) float32, one where a
    category has at least one pixel."""
    present = np.unique(labels)
    present = present[present != VOID]
    shares = np.zeros((CATEGORIES, cells, cells), np.float32)
    if len(present):
        masks = torch.from_numpy(labels[None] == present[:, None, None]).float()
        shares[present] = adaptive_avg_pool2d(masks, cells).numpy()
    side = (map_size, map_size)
    reduced = np.array(Image.fromarray(labels).resize(side, Image.Resampling.NEAREST))
    onehots = np.zeros(CATEGORIES, np.float32)
    onehots[present] = 1
    return {"segmentations": shares, "seg_maps": reduced, "cat_onehots": onehots}
