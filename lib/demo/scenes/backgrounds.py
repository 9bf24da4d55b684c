"""The demo world's backgrounds: bands of COCO stuff, their textures, and how people name them."""

from dataclasses import dataclass

import numpy as np

from lib.demo.scenes.canvas import LIGHT, RGB, Canvas, Pen, shade


@dataclass(frozen=True)
class Stuff:
    """A COCO stuff category: its number (position among COCO's 53 stuff categories) and look."""

    name: str
    number: int
    colour: RGB
    texture: str  # plain, tufts, waves, bricks, tiles, planks, windows, peaks, crowns, marks


STUFF = {
    stuff.name: stuff
    for stuff in (
        Stuff("sky-other-merged", 39, (150, 200, 235), "plain"),
        Stuff("grass-merged", 45, (95, 160, 75), "tufts"),
        Stuff("sea", 23, (50, 110, 165), "waves"),
        Stuff("sand", 22, (222, 200, 150), "plain"),
        Stuff("building-other-merged", 49, (165, 150, 145), "windows"),
        Stuff("road", 20, (95, 95, 100), "marks"),
        Stuff("mountain-merged", 44, (120, 120, 140), "peaks"),
        Stuff("snow", 25, (238, 242, 248), "plain"),
        Stuff("tree-merged", 36, (50, 105, 55), "crowns"),
        Stuff("dirt-merged", 46, (135, 105, 75), "plain"),
        Stuff("river", 19, (85, 145, 170), "waves"),
        Stuff("wall-brick", 29, (170, 85, 65), "bricks"),
        Stuff("floor-wood", 7, (180, 135, 85), "planks"),
        Stuff("wall-tile", 31, (205, 220, 220), "tiles"),
        Stuff("floor-other-merged", 42, (150, 145, 140), "tiles"),
        Stuff("wall-wood", 32, (150, 110, 70), "planks"),
        Stuff("rug-merged", 52, (150, 60, 75), "waves"),
    )
}


def draw_stuff(
    canvas: Canvas, stuff: Stuff, top: float, bottom: float, generator: np.random.Generator
) -> None:
    """A band of stuff from ``top`` to ``bottom``, in units of the picture, with its texture."""
    colour = shade(stuff.colour, generator.uniform(0.92, 1.08))
    dark, light = shade(colour, 0.82), shade(colour, 1.15)
    pen = Pen(canvas, (0.0, top, 1.0, bottom), stuff.number, False)
    height = bottom - top
    if stuff.texture == "peaks":
        x = np.linspace(-0.1, 1.1, 8)
        y = generator.uniform(0.0, 0.6, 8)
        pen.polygon([(0, 1), *zip(x.tolist(), y.tolist(), strict=True), (1, 1)], colour)
        return
    if stuff.texture == "crowns":
        pen.rectangle(0, 0.35, 1, 1, colour)
        for x, y in generator.uniform((-0.1, 0.0), (1.0, 0.5), (26, 2)).tolist():
            tint = shade(colour, generator.uniform(0.8, 1.2))
            pen.ellipse(x, y, x + 0.18, y + 0.09 / height, tint)
        return
    pen.rectangle(0, 0, 1, 1, colour)
    if stuff.texture in ("tufts", "waves"):
        for x, y in generator.uniform((0.0, 0.06), (0.92, 0.94), (40, 2)).tolist():
            rise = 0.03 if stuff.texture == "tufts" else 0.008
            points = [(x, y), (x + 0.015, y - rise / height * 0.9), (x + 0.04, y)]
            pen.line(points, 0.008, dark if generator.random() < 0.5 else light)
    elif stuff.texture in ("bricks", "tiles"):
        step, width = (0.05, 0.12) if stuff.texture == "bricks" else (0.1, 0.1)
        for row, y in enumerate(np.arange(0, height, step)):
            pen.line([(0, y / height), (1, y / height)], 0.008, light)
            shift = width / 2 * (row % 2) if stuff.texture == "bricks" else 0
            for x in np.arange(shift, 1, width):
                end = min(1.0, (y + step) / height)
                pen.line([(x, y / height), (x, end)], 0.008, light)
    elif stuff.texture == "planks":
        for x in np.arange(0.04, 1, 0.12):
            pen.line([(x, 0), (x, 1)], 0.01, dark)
    elif stuff.texture == "windows":
        for x in np.arange(0.03, 1, 0.12):
            for y in np.arange(0.06, height, 0.12):
                end = min(1.0, (y + 0.06) / height)
                pen.rectangle(x, y / height, x + 0.06, end, (235, 225, 160))
    elif stuff.texture == "marks":
        for x in np.arange(0.05, 1, 0.22):
            pen.rectangle(x, 0.46, x + 0.12, 0.54, LIGHT)


@dataclass(frozen=True)
class Setting:
    """A background: bands of stuff with their upper edges, and how people speak of it."""

    name: str
    bands: tuple[tuple[str, float], ...]
    where: tuple[str, ...]  # "on the beach"
    scene: tuple[str, ...]  # "beach", before "scene" or "view"


SETTINGS = (
    Setting(
        "meadow",
        (("sky-other-merged", 0.0), ("grass-merged", 0.4)),
        ("on the grass", "in a green meadow"),
        ("meadow", "grassland"),
    ),
    Setting(
        "beach",
        (("sky-other-merged", 0.0), ("sea", 0.35), ("sand", 0.6)),
        ("on the beach", "by the sea"),
        ("beach", "seaside"),
    ),
    Setting(
        "street",
        (("building-other-merged", 0.0), ("road", 0.62)),
        ("on the road", "in a city street"),
        ("street", "city"),
    ),
    Setting(
        "mountains",
        (("sky-other-merged", 0.0), ("mountain-merged", 0.2), ("snow", 0.5)),
        ("in the snow", "before snowy mountains"),
        ("snowy", "winter"),
    ),
    Setting(
        "forest",
        (("tree-merged", 0.0), ("dirt-merged", 0.6)),
        ("in front of trees", "in the woods"),
        ("forest", "woodland"),
    ),
    Setting(
        "river",
        (("sky-other-merged", 0.0), ("tree-merged", 0.18), ("river", 0.5)),
        ("on the river", "in the river water"),
        ("river", "riverside"),
    ),
    Setting(
        "brick room",
        (("wall-brick", 0.0), ("floor-wood", 0.7)),
        ("before a brick wall", "in a room with bricks"),
        ("brick wall", "brick house"),
    ),
    Setting(
        "tiled room",
        (("wall-tile", 0.0), ("floor-other-merged", 0.68)),
        ("before a tiled wall", "in a bathroom"),
        ("bathroom", "tiled room"),
    ),
    Setting(
        "wooden room",
        (("wall-wood", 0.0), ("rug-merged", 0.7)),
        ("before a wooden wall", "in a room with a rug"),
        ("wooden room", "cabin"),
    ),
)
