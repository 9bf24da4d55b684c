"""What a checkpoint is scored with: the features of its training, or those that are chosen."""

import pytest

from lib.checkpoint import Checkpoint
from lib.config import FeaturesConfig, from_dict
from lib.evaluation.evaluator import FeatureChoice, origin_of

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


def test_an_origin_tells_the_training():
    config = from_dict({"run": {"seed": 4}, "data": {"dataset": "coco"}}, "test")
    whole, part = {"epoch": 3, "step": 0}, {"epoch": 3, "step": 5}
    found = origin_of("a.pth", Checkpoint(config, {}, progress=whole), GRID)
    assert (found.checkpoint, found.model, found.features) == ("a.pth", "3SHNet", "grid")
    assert (found.source, found.seed, found.epoch) == ("coco", 4, 2)  # three are done
    assert found.config["features"]["folder"] == "maps"
    assert origin_of("a.pth", Checkpoint(config, {}, progress=part), GRID).epoch == 3
    released = Checkpoint(config, {}, progress=whole, released={"opt": {}})
    found = origin_of("m.pth", released, REGION)
    assert (found.seed, found.config, found.source, found.epoch) == (None, None, "unknown", 2)
