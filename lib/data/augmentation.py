"""What training does to images, each a function of an explicit random generator."""

from dataclasses import dataclass

import numpy as np


def drop_rate(scheme: str, rate: float, generator: np.random.Generator) -> float:
    """The rate at which one picture loses rows in training: ``each``: ``rate``, always, drawing
    nothing; ``vse_infinity``: with probability 0.8 it is ``rate * u``, u uniform in [0.2, 1], else
    0 (VSE-infinity's size augmentation of grids)."""
    if scheme == "each":
        return rate
    u = generator.random()  # in [0.2, 1] with probability 0.8, and uniform there
    return rate * u if u >= 0.2 else 0.0


def kept_rows(count: int, rate: float, generator: np.random.Generator) -> np.ndarray:
    """Which of ``count`` rows stay, (count,) bool: each is dropped at ``rate``, but never all."""
    keep = generator.random(count) >= rate
    if not keep.any():
        keep[generator.integers(count)] = True
    return keep


@dataclass(frozen=True)
class Window:
    """The part of a picture that is seen, in shares of its sides, perhaps mirrored. The
    segmentation is seen through it too, or a label map would be of something else."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0
    mirrored: bool = False

    def label_map(self, labels: np.ndarray) -> np.ndarray:
        """(M, M) label numbers -> the window's, of the same shape, by nearest neighbour."""
        size = len(labels)
        centres = (np.arange(size) + 0.5) / size
        rows, columns = (
            ((start + centres * (end - start)) * size).astype(int).clip(0, size - 1)
            for start, end in ((self.top, self.bottom), (self.left, self.right))
        )
        return labels[np.ix_(rows, columns[::-1] if self.mirrored else columns)]

    def shares(self, semantic: np.ndarray) -> np.ndarray:
        """(C, c, c) shares of cells -> the window's; a cell is taken to be even inside."""
        cells = semantic.shape[-1]
        down = _overlaps(self.top, self.bottom, cells)
        across = _overlaps(self.left, self.right, cells)
        across = across[::-1] if self.mirrored else across
        return np.einsum("ij,cjk,lk->cil", down, semantic, across).astype(np.float32)


def _overlaps(start: float, end: float, cells: int) -> np.ndarray:
    """(cells, cells): which share of each new cell, of [start, end], lies in each old one."""
    new = start + np.arange(cells + 1) / cells * (end - start)
    old = np.arange(cells + 1) / cells
    low = np.maximum(new[:-1, None], old[None, :-1])
    high = np.minimum(new[1:, None], old[None, 1:])
    return (high - low).clip(min=0) / (new[1:] - new[:-1])[:, None]


def sample_window(smallest: float, flip: float, generator: np.random.Generator) -> Window:
    """A random window at a random place, of one share of both sides, at least ``smallest``, and
    mirrored at the rate ``flip`` (VSE-infinity's crop); draws four numbers in any case."""
    share = generator.uniform(smallest, 1)
    left, top = generator.random(2) * (1 - share)
    return Window(left, top, left + share, top + share, bool(generator.random() < flip))
