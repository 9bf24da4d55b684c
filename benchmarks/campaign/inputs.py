"""All bad inputs, by group."""

from collections.abc import Callable, Iterator

from benchmarks.campaign.aliases import alias_cases
from benchmarks.campaign.bombs import bomb_cases
from benchmarks.campaign.contents import field_cases, setting_cases, text_cases
from benchmarks.campaign.paths import path_cases
from benchmarks.campaign.server import Case
from benchmarks.campaign.world import Shared

GROUPS: dict[str, Callable[[Shared], Iterator[Case]]] = {
    "paths": path_cases,
    "outputs that are inputs": alias_cases,
    "settings": setting_cases,
    "fields": field_cases,
    "texts": text_cases,
    "bombs": bomb_cases,
}
