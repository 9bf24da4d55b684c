"""What the demo world's captions say: objects, colours, counts, backgrounds, places, relations."""

from dataclasses import dataclass

import numpy as np

from lib.demo.scenes.backgrounds import Setting
from lib.demo.scenes.things import Thing

COUNTS = ("no", "a", "two", "three")
# Places of the 3 x 3 layout, row by row.
PLACES = (
    ("in the upper left corner", "at the top left"),
    ("at the top", "in the upper part of the picture"),
    ("in the upper right corner", "at the top right"),
    ("on the left", "on the left side"),
    ("in the middle", "in the centre of the picture"),
    ("on the right", "on the right side"),
    ("in the lower left corner", "at the bottom left"),
    ("at the bottom", "in the lower part of the picture"),
    ("in the lower right corner", "at the bottom right"),
)


@dataclass(frozen=True)
class Group:
    """One to three things of one kind, colour and size, each in a cell of the 3 x 3 layout."""

    thing: Thing
    colour: str
    size: str  # small, medium or large
    cells: tuple[int, ...]


# Each domain has a phrasing of its own; {things}, {where}, {scene}, {one}, {other}, {place} and
# {relation} are filled in.
WHOLE = {
    "a": ("{things} {where}.", "There {be} {things} {where}.", "A picture of {things} {where}."),
    "b": ("{Where} we see {things}.", "{Where} someone left {things}.", "{things}, all {where}."),
}
THINGS_ALONE = {
    "a": ("{things}.", "There {be} {things}.", "A picture of {things}."),
    "b": ("We see {things}.", "Someone left {things} here.", "{things}, as it seems."),
}
SCENE = {
    "a": ("A {scene} scene with {things}.", "A {scene} picture that shows {things}."),
    "b": (
        "It is a {scene} view, and you can find {things} there.",
        "{things} in this {scene} view.",
    ),
}
PLACED = {
    "a": ("{one} {place}, {where}.", "{Where} there {be} {one} {place}."),
    "b": ("Look {place}: {one}, {where}.", "In this {scene} view, you find {one} {place}."),
}
RELATED = {
    "a": ("{one} {relation} {other} {where}.", "{one} {relation} {other}."),
    "b": ("Notice {one}, {relation} {other}, {where}.", "{one} can be seen {relation} {other}."),
}


def noun_phrase(group: Group, with_size: bool) -> str:
    """As in "two small red apples"; medium size goes without saying."""
    count = len(group.cells)
    noun = group.thing.name if count == 1 else group.thing.plural
    size = f"{group.size} " if with_size and group.size != "medium" else ""
    words = f"{size}{group.colour} {noun}"
    article = "an" if count == 1 and words[0] in "aeiou" else COUNTS[count]
    return f"{article} {words}"


def relation(one: Group, other: Group) -> str | None:
    """Where single thing ``one`` is seen from single thing ``other``; None for larger groups."""
    if len(one.cells) > 1 or len(other.cells) > 1:
        return None
    (row, column), (other_row, other_column) = (divmod(g.cells[0], 3) for g in (one, other))
    if column == other_column:
        return "above" if row < other_row else "below"
    return "to the left of" if column < other_column else "to the right of"


def captions(
    groups: tuple[Group, ...], setting: Setting, domain: str, generator: np.random.Generator
) -> list[str]:
    """Five captions of a scene, varied in what they mention and how."""

    def pick(options: tuple[str, ...]) -> str:
        return options[generator.integers(len(options))]

    def listing(members: list[Group]) -> str:
        phrases = [noun_phrase(g, generator.random() < 0.5) for g in members]
        return ", ".join(phrases[:-1]) + (" and " if phrases[1:] else "") + phrases[-1]

    def fill(template: str, **words: str) -> str:
        where = pick(setting.where)
        text = template.format(
            where=where, Where=where.capitalize(), scene=pick(setting.scene), **words
        )
        return text[0].upper() + text[1:]

    def shuffled() -> list[Group]:
        return [groups[i] for i in generator.permutation(len(groups))]

    def some(templates: dict[str, tuple[str, ...]], most: int = 3) -> str:
        members = shuffled()[: generator.integers(1, most + 1)]
        be = "is" if len(members[0].cells) == 1 else "are"
        return fill(pick(templates[domain]), things=listing(members), be=be)

    def placed() -> str:
        single = [g for g in shuffled() if len(g.cells) == 1]
        if not single:
            return some(WHOLE)
        place = pick(PLACES[single[0].cells[0]])
        return fill(pick(PLACED[domain]), one=noun_phrase(single[0], True), place=place, be="is")

    def related() -> str:
        one, other = (shuffled() * 2)[:2]
        between = None if one is other else relation(one, other)
        if between is None:
            return placed()
        words = {"one": noun_phrase(one, False), "other": noun_phrase(other, True)}
        return fill(pick(RELATED[domain]), relation=between, **words)

    return [some(WHOLE), some(THINGS_ALONE), some(SCENE, most=1), placed(), related()]
