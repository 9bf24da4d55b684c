"""A picture and its exact panoptic labels, drawn together."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from lib.data.segmentation import VOID

SIZE = 224  # pixels of a picture's side; 7 x 7 cells of 32
OVERSAMPLING = 2  # pictures are drawn larger and reduced, labels are not: they stay exact
RGB = tuple[int, int, int]
Box = tuple[float, float, float, float]  # left, top, right, bottom in units of the picture
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
        return cls(Image.new("RGB", (side, side)), Image.new("L", (SIZE, SIZE), VOID))

    def finished(self) -> tuple[Image.Image, np.ndarray]:
        """The picture, SIZE x SIZE RGB, and its labels, (SIZE, SIZE) uint8."""
        return self.picture.resize((SIZE, SIZE), Image.Resampling.BOX), np.array(self.labels)


class Pen:
    """Draws in unit coordinates of a box, with one label; x may be mirrored."""

    def __init__(self, canvas: Canvas, box: Box, label: int, mirrored: bool):
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
