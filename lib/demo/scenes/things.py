"""The demo world's things: COCO categories, drawn so that one recognises them."""

from collections.abc import Callable
from dataclasses import dataclass

from lib.demo.scenes.canvas import DARK, LIGHT, RGB, Pen, shade


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
