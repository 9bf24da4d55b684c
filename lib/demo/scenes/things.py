"""The demo world's content, read from ``world.yaml``: things, backgrounds, palettes, phrases."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lib.demo.scenes.canvas import DARK, LIGHT, RGB, Pen, shade

CONTENT: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("world.yaml").read_text("utf-8"))
PALETTES: dict[str, dict[str, RGB]] = {
    domain: {name: tuple(colour) for name, colour in palette.items()}
    for domain, palette in CONTENT["palettes"].items()
}


@dataclass(frozen=True)
class Thing:
    """A COCO thing category of the demo world."""

    name: str  # COCO's name
    plural: str
    number: int  # UPSNet's: 53 + position among COCO's 80 things
    shapes: tuple[tuple[Any, ...], ...]  # kind, colour and coordinates, back to front

    def draw(self, pen: Pen, colour: RGB) -> None:
        """Draw it so that one recognises it, in ``colour``."""
        for kind, named, *numbers in self.shapes:
            paint = _paint(named, colour)
            width, *numbers = numbers if kind == "line" else (None, *numbers)
            points = list(zip(numbers[::2], numbers[1::2], strict=True))
            if kind == "polygon":
                pen.polygon(points, paint)
            elif kind == "line":
                pen.line(points, width, paint)
            else:
                getattr(pen, kind)(*numbers, paint)


def _paint(named: str | list[int], colour: RGB) -> RGB:
    """``colour``, a shade of it, or a fixed colour."""
    if isinstance(named, list):
        return named[0], named[1], named[2]
    name, _, factor = named.partition("*")
    fixed = {"dark": DARK, "light": LIGHT, "colour": colour}[name]
    return shade(fixed, float(factor)) if factor else fixed


THINGS = tuple(
    Thing(name, one["plural"], one["number"], tuple(map(tuple, one["shapes"])))
    for name, one in CONTENT["things"].items()
)
