"""How the demo world's things and stuff look: picture and exact panoptic labels, drawn together."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

SIZE = 224  # pixels of a picture's side; 7 x 7 cells of 32
OVERSAMPLING = 2  # pictures are drawn larger and reduced, labels are not: they stay exact
RGB = tuple[int, int, int]
DARK: RGB = (45, 45, 50)
LIGHT: RGB = (240, 240, 235)


def shade(colour: RGB, factor: float) -> RGB:
    """Darker below 1, lighter above, clipped to 0..255."""
    red, green, blue = (min(255, max(0, int(channel * factor))) for channel in colour)
    return red, green, blue


@dataclass
class Canvas:
    """A picture and its label map, the same shapes in both."""

    picture: Image.Image
    labels: Image.Image

    @classmethod
    def blank(cls) -> "Canvas":
        """Black, every label 255 (void)."""
        side = SIZE * OVERSAMPLING
        return cls(Image.new("RGB", (side, side)), Image.new("L", (SIZE, SIZE), 255))

    def finished(self) -> tuple[Image.Image, np.ndarray]:
        """The picture, SIZE x SIZE RGB, and its labels, (SIZE, SIZE) uint8."""
        return self.picture.resize((SIZE, SIZE), Image.Resampling.BOX), np.array(self.labels)


class Pen:
    """Draws in unit coordinates of a box, with one label; x may be mirrored."""

    def __init__(
        self, canvas: Canvas, box: tuple[float, float, float, float], label: int, mirrored: bool
    ):
        self._targets = (
            (ImageDraw.Draw(canvas.picture), SIZE * OVERSAMPLING, None),
            (ImageDraw.Draw(canvas.labels), SIZE, label),
        )
        self._box, self._mirrored = box, mirrored

    def polygon(self, points: list[tuple[float, float]], colour: RGB) -> None:
        """A filled polygon."""
        for draw, side, label in self._targets:
            draw.polygon(self._place(points, side), colour if label is None else label)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, colour: RGB) -> None:
        """A filled rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)

    def ellipse(self, x0: float, y0: float, x1: float, y1: float, colour: RGB) -> None:
        """A filled ellipse between two corners."""
        for draw, side, label in self._targets:
            (ax, ay), (bx, by) = self._place([(x0, y0), (x1, y1)], side)
            corners = (min(ax, bx), ay, max(ax, bx), by)
            draw.ellipse(corners, colour if label is None else label)

    def line(self, points: list[tuple[float, float]], width: float, colour: RGB) -> None:
        """A line; ``width`` in units of the box's width."""
        for draw, side, label in self._targets:
            pixels = max(1, round(width * (self._box[2] - self._box[0]) * side))
            draw.line(self._place(points, side), colour if label is None else label, pixels)

    def _place(self, points: list[tuple[float, float]], side: int) -> list[tuple[float, float]]:
        left, top, right, bottom = self._box
        return [
            (
                (left + (1 - x if self._mirrored else x) * (right - left)) * side,
                (top + y * (bottom - top)) * side,
            )
            for x, y in points
        ]


def airplane(pen: Pen, colour: RGB) -> None:
    pen.polygon([(0.42, 0.5), (0.2, 0.08), (0.32, 0.08), (0.66, 0.5)], shade(colour, 0.75))
    pen.polygon([(0.0, 0.2), (0.1, 0.2), (0.24, 0.5), (0.06, 0.5)], shade(colour, 0.75))
    pen.ellipse(0.02, 0.4, 1.0, 0.64, colour)
    pen.polygon([(0.4, 0.55), (0.18, 0.95), (0.32, 0.95), (0.64, 0.58)], shade(colour, 0.85))
    for x in (0.4, 0.52, 0.64, 0.76):
        pen.ellipse(x, 0.46, x + 0.06, 0.54, DARK)


def car(pen: Pen, colour: RGB) -> None:
    pen.polygon([(0.2, 0.5), (0.32, 0.24), (0.68, 0.24), (0.84, 0.5)], shade(colour, 0.85))
    pen.polygon([(0.28, 0.48), (0.36, 0.3), (0.48, 0.3), (0.48, 0.48)], (190, 220, 235))
    pen.polygon([(0.53, 0.48), (0.53, 0.3), (0.65, 0.3), (0.75, 0.48)], (190, 220, 235))
    pen.polygon([(0.0, 0.5), (0.96, 0.46), (1.0, 0.74), (0.0, 0.74)], colour)
    for x in (0.12, 0.66):
        pen.ellipse(x, 0.6, x + 0.24, 0.88, DARK)
        pen.ellipse(x + 0.07, 0.68, x + 0.17, 0.8, LIGHT)


def bus(pen: Pen, colour: RGB) -> None:
    pen.rectangle(0.0, 0.14, 1.0, 0.8, colour)
    pen.rectangle(0.0, 0.6, 1.0, 0.66, shade(colour, 0.6))
    for x in (0.05, 0.24, 0.43, 0.62):
        pen.rectangle(x, 0.24, x + 0.15, 0.48, (190, 220, 235))
    pen.rectangle(0.82, 0.24, 0.95, 0.78, shade(colour, 0.7))
    for x in (0.14, 0.64):
        pen.ellipse(x, 0.68, x + 0.2, 0.92, DARK)


def boat(pen: Pen, colour: RGB) -> None:
    pen.line([(0.48, 0.05), (0.48, 0.7)], 0.04, (110, 75, 45))
    pen.polygon([(0.52, 0.06), (0.52, 0.6), (0.92, 0.6)], LIGHT)
    pen.polygon([(0.44, 0.16), (0.44, 0.6), (0.14, 0.6)], shade(LIGHT, 0.85))
    pen.polygon([(0.0, 0.66), (1.0, 0.66), (0.84, 0.95), (0.16, 0.95)], colour)
    pen.rectangle(0.04, 0.66, 0.96, 0.72, shade(colour, 0.7))


def bird(pen: Pen, colour: RGB) -> None:
    pen.polygon([(0.0, 0.42), (0.0, 0.6), (0.3, 0.6)], shade(colour, 0.7))
    pen.ellipse(0.14, 0.36, 0.74, 0.78, colour)
    pen.ellipse(0.56, 0.16, 0.88, 0.5, colour)
    pen.polygon([(0.86, 0.28), (1.0, 0.36), (0.85, 0.42)], (235, 165, 40))
    pen.ellipse(0.71, 0.25, 0.78, 0.33, DARK)
    pen.ellipse(0.22, 0.44, 0.56, 0.66, shade(colour, 0.75))
    for x in (0.38, 0.5):
        pen.line([(x, 0.76), (x, 0.96)], 0.03, (200, 130, 40))


def cat(pen: Pen, colour: RGB) -> None:
    pen.line([(0.2, 0.85), (0.04, 0.6), (0.12, 0.4)], 0.08, shade(colour, 0.8))
    pen.ellipse(0.14, 0.45, 0.72, 1.0, colour)
    pen.polygon([(0.42, 0.3), (0.44, 0.0), (0.6, 0.18)], shade(colour, 0.8))
    pen.polygon([(0.72, 0.18), (0.9, 0.0), (0.92, 0.3)], shade(colour, 0.8))
    pen.ellipse(0.38, 0.12, 0.94, 0.58, colour)
    for x in (0.5, 0.72):
        pen.ellipse(x, 0.26, x + 0.1, 0.38, (215, 225, 90))
        pen.ellipse(x + 0.035, 0.27, x + 0.065, 0.37, DARK)
    pen.polygon([(0.62, 0.42), (0.7, 0.42), (0.66, 0.48)], (225, 130, 140))


def dog(pen: Pen, colour: RGB) -> None:
    for x in (0.14, 0.26, 0.56, 0.68):
        pen.rectangle(x, 0.6, x + 0.09, 0.98, shade(colour, 0.85))
    pen.line([(0.14, 0.5), (0.02, 0.24)], 0.07, colour)
    pen.ellipse(0.08, 0.38, 0.8, 0.74, colour)
    pen.ellipse(0.62, 0.1, 0.92, 0.5, colour)
    pen.rectangle(0.82, 0.26, 1.0, 0.44, shade(colour, 1.1))
    pen.ellipse(0.6, 0.12, 0.72, 0.46, shade(colour, 0.6))
    pen.ellipse(0.78, 0.19, 0.84, 0.27, DARK)
    pen.ellipse(0.94, 0.25, 1.0, 0.33, DARK)


def sheep(pen: Pen, colour: RGB) -> None:
    for x in (0.2, 0.32, 0.56, 0.68):
        pen.rectangle(x, 0.66, x + 0.07, 0.98, DARK)
    for x, y in ((0.06, 0.34), (0.2, 0.2), (0.38, 0.18), (0.52, 0.24), (0.12, 0.46), (0.48, 0.44)):
        pen.ellipse(x, y, x + 0.34, y + 0.32, colour)
    pen.ellipse(0.24, 0.36, 0.7, 0.8, shade(colour, 0.93))
    pen.ellipse(0.72, 0.2, 0.98, 0.58, DARK)
    pen.ellipse(0.82, 0.28, 0.89, 0.36, LIGHT)


def umbrella(pen: Pen, colour: RGB) -> None:
    pen.line([(0.5, 0.4), (0.5, 0.92), (0.6, 0.97), (0.68, 0.9)], 0.05, (110, 75, 45))
    top = [(0.5, 0.04), (0.25, 0.12), (0.08, 0.28), (0.0, 0.5)]
    pen.polygon([*top, (0.17, 0.42), (0.34, 0.5), (0.5, 0.04)], colour)
    pen.polygon([(0.5, 0.04), (0.34, 0.5), (0.5, 0.42), (0.66, 0.5)], shade(colour, 0.75))
    mirrored = [(1 - x, y) for x, y in top]
    pen.polygon([*mirrored, (0.83, 0.42), (0.66, 0.5), (0.5, 0.04)], colour)


def kite(pen: Pen, colour: RGB) -> None:
    pen.line([(0.5, 0.66), (0.36, 0.78), (0.56, 0.88), (0.4, 1.0)], 0.035, DARK)
    pen.polygon([(0.5, 0.0), (0.84, 0.3), (0.5, 0.7), (0.16, 0.3)], colour)
    pen.polygon([(0.5, 0.0), (0.84, 0.3), (0.5, 0.3)], shade(colour, 0.65))
    pen.polygon([(0.5, 0.7), (0.16, 0.3), (0.5, 0.3)], shade(colour, 0.65))


def bottle(pen: Pen, colour: RGB) -> None:
    pen.rectangle(0.4, 0.0, 0.6, 0.1, (120, 85, 50))
    pen.rectangle(0.42, 0.08, 0.58, 0.34, shade(colour, 0.8))
    pen.polygon([(0.42, 0.28), (0.58, 0.28), (0.74, 0.44), (0.26, 0.44)], colour)
    pen.rectangle(0.26, 0.43, 0.74, 1.0, colour)
    pen.rectangle(0.26, 0.56, 0.74, 0.82, LIGHT)


def cup(pen: Pen, colour: RGB) -> None:
    pen.line([(0.7, 0.36), (0.94, 0.4), (0.92, 0.66), (0.66, 0.72)], 0.08, shade(colour, 0.8))
    pen.polygon([(0.1, 0.22), (0.76, 0.22), (0.68, 0.92), (0.18, 0.92)], colour)
    pen.ellipse(0.1, 0.12, 0.76, 0.34, shade(colour, 0.7))
    pen.ellipse(0.18, 0.17, 0.68, 0.31, (85, 55, 35))


def apple(pen: Pen, colour: RGB) -> None:
    pen.ellipse(0.08, 0.24, 0.58, 0.96, colour)
    pen.ellipse(0.42, 0.24, 0.92, 0.96, colour)
    pen.ellipse(0.2, 0.34, 0.34, 0.52, shade(colour, 1.35))
    pen.line([(0.5, 0.3), (0.54, 0.06)], 0.06, (95, 65, 40))
    pen.ellipse(0.54, 0.04, 0.84, 0.2, (80, 150, 60))


def chair(pen: Pen, colour: RGB) -> None:
    pen.rectangle(0.16, 0.0, 0.28, 1.0, shade(colour, 0.75))
    pen.rectangle(0.16, 0.04, 0.74, 0.16, colour)
    pen.rectangle(0.16, 0.24, 0.74, 0.34, colour)
    pen.rectangle(0.66, 0.0, 0.76, 0.5, shade(colour, 0.75))
    pen.polygon([(0.16, 0.5), (0.76, 0.5), (0.92, 0.64), (0.3, 0.64)], colour)
    pen.rectangle(0.82, 0.62, 0.92, 1.0, shade(colour, 0.75))
    pen.rectangle(0.34, 0.62, 0.43, 1.0, shade(colour, 0.6))


def clock(pen: Pen, colour: RGB) -> None:
    pen.ellipse(0.04, 0.04, 0.96, 0.96, colour)
    pen.ellipse(0.16, 0.16, 0.84, 0.84, LIGHT)
    for x, y in ((0.5, 0.2), (0.8, 0.5), (0.5, 0.8), (0.2, 0.5)):
        pen.ellipse(x - 0.03, y - 0.03, x + 0.03, y + 0.03, DARK)
    pen.line([(0.5, 0.5), (0.5, 0.26)], 0.05, DARK)
    pen.line([(0.5, 0.5), (0.68, 0.6)], 0.05, DARK)


def teddy_bear(pen: Pen, colour: RGB) -> None:
    for x in (0.2, 0.58):
        pen.ellipse(x, 0.0, x + 0.22, 0.22, shade(colour, 0.8))
        pen.ellipse(x - 0.06, 0.74, x + 0.26, 1.0, shade(colour, 0.85))
    pen.ellipse(0.02, 0.46, 0.34, 0.7, shade(colour, 0.85))
    pen.ellipse(0.66, 0.46, 0.98, 0.7, shade(colour, 0.85))
    pen.ellipse(0.2, 0.42, 0.8, 0.94, colour)
    pen.ellipse(0.22, 0.04, 0.78, 0.52, colour)
    pen.ellipse(0.38, 0.28, 0.62, 0.48, shade(LIGHT, 0.95))
    for x in (0.36, 0.58):
        pen.ellipse(x, 0.18, x + 0.07, 0.26, DARK)
    pen.ellipse(0.46, 0.3, 0.54, 0.37, DARK)


@dataclass(frozen=True)
class Thing:
    """A COCO thing category of the demo world."""

    name: str  # COCO's name
    plural: str
    number: int  # UPSNet's: 53 + position among COCO's 80 things
    draw: Callable[[Pen, RGB], None]


THINGS = (
    Thing("airplane", "airplanes", 57, airplane),
    Thing("car", "cars", 55, car),
    Thing("bus", "buses", 58, bus),
    Thing("boat", "boats", 61, boat),
    Thing("bird", "birds", 67, bird),
    Thing("cat", "cats", 68, cat),
    Thing("dog", "dogs", 69, dog),
    Thing("sheep", "sheep", 71, sheep),
    Thing("umbrella", "umbrellas", 78, umbrella),
    Thing("kite", "kites", 86, kite),
    Thing("bottle", "bottles", 92, bottle),
    Thing("cup", "cups", 94, cup),
    Thing("apple", "apples", 100, apple),
    Thing("chair", "chairs", 109, chair),
    Thing("clock", "clocks", 127, clock),
    Thing("teddy bear", "teddy bears", 130, teddy_bear),
)


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
