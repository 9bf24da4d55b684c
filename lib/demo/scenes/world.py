"""What a scene of the demo world holds, which split it belongs to, and how it is rendered."""

import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from lib.demo.scenes.backgrounds import SETTINGS, STUFF, Setting, draw_stuff
from lib.demo.scenes.canvas import Box, Canvas, Pen, shade
from lib.demo.scenes.phrases import Group
from lib.demo.scenes.things import PALETTES, THINGS

SIDES = {"small": (0.15, 0.18), "medium": (0.21, 0.24), "large": (0.28, 0.32)}
SPLITS = ("train", "dev", "test")
# Tenths of all possible scenes that each split draws from; a scene belongs to one by its hash.
BUCKETS = {"train": range(0, 7), "dev": range(7, 8), "test": range(8, 10)}


@dataclass(frozen=True)
class World:
    """What a world is a function of."""

    seed: int = 0
    domain: str = "a"  # a or b: palette, mix of categories and phrasing
    train: int = 1500
    dev: int = 200
    test: int = 250
    regions: int = 36
    img_dim: int = 2048
    map_size: int = 64
    missed: float = 0.15  # share of things around which the detector proposes no region
    box_noise: float = 0.0  # standard deviation of a saved box's edges, in shares of its sides
    missed_relations: float = 0.0  # share that a scene-graph generator does not find
    false_relations: float = 0.0  # ones that it makes up, in shares of the true ones
    dtype: str = "float16"  # of every float array


@dataclass(frozen=True)
class Scene:
    """One picture's content, without the jitter of its rendering."""

    setting: Setting
    groups: tuple[Group, ...]

    @property
    def signature(self) -> str:
        """Equal for two scenes of the same content."""
        parts = sorted(f"{g.size} {g.colour} {g.thing.name} {sorted(g.cells)}" for g in self.groups)
        return f"{self.setting.name}: {'; '.join(parts)}"

    @property
    def split(self) -> str:
        """The only split that may hold this scene: splits are disjoint by construction."""
        bucket = zlib.crc32(self.signature.encode()) % 10
        return next(split for split, buckets in BUCKETS.items() if bucket in buckets)


def sample_scene(world: World, generator: np.random.Generator) -> Scene:
    """One to three groups of things, at most five in all, in one setting."""
    # Each domain prefers other things and settings, in an order of its own.
    mix = np.random.default_rng(zlib.crc32(world.domain.encode()))
    things = 1 / (6 + mix.permutation(len(THINGS)))
    settings = 1 / (6 + mix.permutation(len(SETTINGS)))
    setting = SETTINGS[generator.choice(len(SETTINGS), p=settings / settings.sum())]
    colours = list(PALETTES[world.domain])
    cells = generator.permutation(9).tolist()
    number = generator.choice((1, 2, 3), p=(0.2, 0.5, 0.3))
    kinds = generator.choice(len(THINGS), number, replace=False, p=things / things.sum())
    groups = []
    for kind in kinds:
        count = 1 if len(kinds) == 3 else int(generator.choice((1, 2, 3), p=(0.7, 0.2, 0.1)))
        colour = colours[generator.integers(len(colours))]
        size = str(generator.choice(tuple(SIDES)))
        groups.append(Group(THINGS[kind], colour, size, tuple(cells.pop() for _ in range(count))))
    return Scene(setting, tuple(groups))


def sample_scenes(world: World, split: str, count: int) -> list[Scene]:
    """``count`` different scenes that belong to ``split``."""
    generator = np.random.default_rng((world.seed, SPLITS.index(split)))
    scenes: dict[str, Scene] = {}
    while len(scenes) < count:
        scene = sample_scene(world, generator)
        if scene.split == split:
            scenes.setdefault(scene.signature, scene)
    return list(scenes.values())


def render(
    scene: Scene, domain: str, generator: np.random.Generator
) -> tuple[Image.Image, np.ndarray, list[Box]]:
    """A scene's picture, its exact labels (SIZE, SIZE) uint8, and its things' boxes."""
    canvas = Canvas.blank()
    shift = generator.uniform(-0.06, 0.06)
    edges = [top + (shift if top else 0.0) for _, top in scene.setting.bands] + [1.0]
    for (name, _), top, bottom in zip(scene.setting.bands, edges, edges[1:], strict=False):
        # A ragged upper edge (mountains, trees) shows what is behind it, not void.
        reach = 1.0 if (name, top) == (scene.setting.bands[0][0], 0.0) else bottom
        if name == "tree-merged" and top == 0.0:
            draw_stuff(canvas, STUFF["sky-other-merged"], 0.0, 0.5, generator)
        draw_stuff(canvas, STUFF[name], top, reach, generator)
    boxes = []
    for group in scene.groups:
        colour = PALETTES[domain][group.colour]
        for cell in group.cells:
            side = generator.uniform(*SIDES[group.size])
            row, column = divmod(cell, 3)
            left = (column + 0.5) / 3 - side / 2 + generator.uniform(-0.02, 0.02)
            top = (row + 0.5) / 3 - side / 2 + generator.uniform(-0.02, 0.02)
            left, top = (min(max(v, 0.0), 1.0 - side) for v in (left, top))
            box = (left, top, left + side, top + side)
            pen = Pen(canvas, box, group.thing.number, bool(generator.random() < 0.5))
            group.thing.draw(pen, shade(colour, generator.uniform(0.9, 1.1)))
            boxes.append(box)
    return *canvas.finished(), boxes
