"""The demo world's boxes and relations: exact, or as a detector and a generator would find them."""

from itertools import permutations

import numpy as np

from lib.demo.scenes.canvas import SIZE, Box
from lib.demo.scenes.phrases import Group, relation
from lib.demo.scenes.world import World

SAID = ("to the left of", "above")  # "to the right of" and "below" say the same, from the other


def saved_boxes(boxes: list[Box], world: World, generator: np.random.Generator) -> np.ndarray:
    """(K, 4) float32, x1, y1, x2, y2 in pixels, moved by ``world.box_noise``."""
    edges = np.array(boxes)
    sides = np.tile(edges[:, 2:] - edges[:, :2], 2)
    edges = edges + sides * world.box_noise * generator.standard_normal(edges.shape)
    low = np.minimum(edges[:, :2], edges[:, 2:])
    high = np.maximum(edges[:, :2], edges[:, 2:])
    return (SIZE * np.clip(np.hstack([low, high]), 0, 1)).astype(np.float32)


def relation_matrix(
    groups: tuple[Group, ...], around: np.ndarray, world: World, generator: np.random.Generator
) -> np.ndarray:
    """Relations that captions may speak of: (K,) int64, the thing that each region is around, -1
    for none, things being numbered through ``groups`` -> (K, K) uint8; 1 where the row's thing is
    to the left of, or above, the column's, or where captions count both together, as in "three red
    apples"."""
    matrix = np.zeros((len(around), len(around)), np.uint8)
    first = np.cumsum([0, *(len(group.cells) for group in groups)])
    related: list[tuple[int, int]] = []
    for i, one in enumerate(groups):
        related += permutations(range(first[i], first[i + 1]), 2)
        for j, other in enumerate(groups):
            if i != j and relation(one, other) in SAID:
                related.append((first[i], first[j]))
    for subject, partner in related:
        matrix |= np.outer(around == subject, around == partner).astype(np.uint8)
    true = np.argwhere(matrix)
    lost = true[generator.random(len(true)) < world.missed_relations]
    matrix[lost[:, 0], lost[:, 1]] = 0
    made_up = generator.integers(0, len(around), (round(len(true) * world.false_relations), 2))
    made_up = made_up[made_up[:, 0] != made_up[:, 1]]
    matrix[made_up[:, 0], made_up[:, 1]] = 1
    return matrix
