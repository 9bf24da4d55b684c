"""All bad inputs, by group."""

from benchmarks.campaign.aliases import alias_cases
from benchmarks.campaign.bombs import bomb_cases
from benchmarks.campaign.contents import field_cases, setting_cases, text_cases
from benchmarks.campaign.paths import path_cases
from benchmarks.campaign.server import Case
from benchmarks.campaign.world import Shared


def all_cases(shared: Shared) -> dict[str, list[Case]]:
    """Group -> its cases."""
    return {
        "paths": list(path_cases(shared)),
        "outputs that are inputs": list(alias_cases(shared)),
        "settings": list(setting_cases(shared)),
        "fields": list(field_cases(shared)),
        "texts": list(text_cases(shared)),
        "bombs": list(bomb_cases(shared)),
    }
