"""What a checkpoint is opened with: the features of its training, or those that are chosen."""

import pytest

from lib.config import FeaturesConfig
from lib.evaluation.opened import FeatureChoice

REGION = FeaturesConfig(regions=36)
GRID = FeaturesConfig(type="grid", folder="maps", grid_size=7)


@pytest.mark.parametrize(
    ("choice", "trained", "expected"),
    [
        (FeatureChoice(), REGION, ("region", None, 7, 36)),
        (FeatureChoice(), GRID, ("grid", "maps", 7, None)),
        (FeatureChoice(folder="elsewhere"), GRID, ("grid", "elsewhere", 7, None)),
        (FeatureChoice(folder=""), GRID, ("grid", None, 7, None)),
        (FeatureChoice(grid_size="off"), GRID, ("grid", "maps", None, None)),
        (FeatureChoice(grid_size="3"), GRID, ("grid", "maps", 3, None)),
        (FeatureChoice(grid_size="3"), REGION, ("region", None, 7, 36)),
        (FeatureChoice(type="grid"), REGION, ("grid", "grids", 7, None)),
        (FeatureChoice(type="region"), GRID, ("region", None, 7, None)),
    ],
)
def test_a_choice_changes_what_it_names(choice, trained, expected):
    found = choice.apply(trained)
    assert (found.type, found.folder, found.grid_size, found.regions) == expected
