"""Who made scores."""

from lib.checkpoint import Checkpoint
from lib.config import FeaturesConfig, from_dict
from lib.evaluation.evaluator import origin_of

REGION = FeaturesConfig(regions=36)
GRID = FeaturesConfig(type="grid", folder="maps", grid_size=7)


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
