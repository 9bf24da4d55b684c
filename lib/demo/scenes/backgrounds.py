"""The demo world's backgrounds: bands of COCO stuff, their textures, and how people name them."""

from dataclasses import dataclass

import numpy as np

from lib.demo.scenes.canvas import LIGHT, RGB, Canvas, Pen, shade
from lib.demo.scenes.things import CONTENT


@dataclass(frozen=True)
class Stuff:
    """A COCO stuff category: its number (position among COCO's 53 stuff categories) and look."""

    name: str
    number: int
    colour: RGB
    texture: str  # plain, tufts, waves, bricks, tiles, planks, windows, peaks, crowns, marks


STUFF = {
    name: Stuff(name, number, tuple(colour), texture)
    for name, (number, colour, texture) in CONTENT["stuff"].items()
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
        peaks = zip(np.linspace(-0.1, 1.1, 8), generator.uniform(0.0, 0.6, 8), strict=True)
        pen.polygon([(0, 1), *((float(x), float(y)) for x, y in peaks), (1, 1)], colour)
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
        for row, y in enumerate(np.arange(0, height, step).tolist()):
            pen.line([(0, y / height), (1, y / height)], 0.008, light)
            shift = width / 2 * (row % 2) if stuff.texture == "bricks" else 0
            for x in np.arange(shift, 1, width).tolist():
                end = min(1.0, (y + step) / height)
                pen.line([(x, y / height), (x, end)], 0.008, light)
    elif stuff.texture == "planks":
        for x in np.arange(0.04, 1, 0.12).tolist():
            pen.line([(x, 0), (x, 1)], 0.01, dark)
    elif stuff.texture == "windows":
        for x in np.arange(0.03, 1, 0.12).tolist():
            for y in np.arange(0.06, height, 0.12).tolist():
                end = min(1.0, (y + 0.06) / height)
                pen.rectangle(x, y / height, x + 0.06, end, (235, 225, 160))
    elif stuff.texture == "marks":
        for x in np.arange(0.05, 1, 0.22).tolist():
            pen.rectangle(x, 0.46, x + 0.12, 0.54, LIGHT)


@dataclass(frozen=True)
class Setting:
    """A background: bands of stuff with their upper edges, and how people speak of it."""

    name: str
    bands: tuple[tuple[str, float], ...]
    where: tuple[str, ...]  # "on the beach"
    scene: tuple[str, ...]  # "beach", before "scene" or "view"


SETTINGS = tuple(
    Setting(name, tuple(s["bands"].items()), tuple(s["where"]), tuple(s["scene"]))
    for name, s in CONTENT["settings"].items()
)
