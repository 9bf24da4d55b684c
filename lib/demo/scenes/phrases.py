"""What the demo world's captions say: objects, colours, counts, backgrounds, places, relations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.demo.scenes.backgrounds import Setting
from lib.demo.scenes.things import CONTENT, Thing

COUNTS = ("no", "a", "two", "three")
PLACES: list[list[str]] = CONTENT["places"]  # of the 3 x 3 layout, row by row
PHRASES: dict[str, dict[str, list[str]]] = CONTENT["phrases"]  # of each domain


@dataclass(frozen=True)
class Group:
    """One to three things of one kind, colour and size, each in a cell of the 3 x 3 layout."""

    thing: Thing
    colour: str
    size: str  # small, medium or large
    cells: tuple[int, ...]


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

    def pick(options: Sequence[str]) -> str:
        return options[int(generator.integers(len(options)))]

    def listing(members: list[Group]) -> str:
        phrases = [noun_phrase(g, generator.random() < 0.5) for g in members]
        return ", ".join(phrases[:-1]) + (" and " if phrases[1:] else "") + phrases[-1]

    def fill(template: str, **words: str) -> str:
        where = pick(setting.where)
        words |= {"where": where, "Where": where.capitalize(), "scene": pick(setting.scene)}
        text = template.format(**words)
        return text[0].upper() + text[1:]

    def shuffled() -> list[Group]:
        return [groups[i] for i in generator.permutation(len(groups))]

    def some(kind: str, most: int = 3) -> str:
        members = shuffled()[: generator.integers(1, most + 1)]
        be = "is" if len(members[0].cells) == 1 else "are"
        return fill(pick(PHRASES[kind][domain]), things=listing(members), be=be)

    def placed() -> str:
        single = [g for g in shuffled() if len(g.cells) == 1]
        if not single:
            return some("whole")
        place = pick(PLACES[single[0].cells[0]])
        return fill(
            pick(PHRASES["placed"][domain]), one=noun_phrase(single[0], True), place=place, be="is"
        )

    def related() -> str:
        one, other = (shuffled() * 2)[:2]
        between = None if one is other else relation(one, other)
        if between is None:
            return placed()
        words = {"one": noun_phrase(one, False), "other": noun_phrase(other, True)}
        return fill(pick(PHRASES["related"][domain]), relation=between, **words)

    return [some("whole"), some("things_alone"), some("scene", most=1), placed(), related()]
