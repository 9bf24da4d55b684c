"""Who made scores."""

from pathlib import Path

import torch

from lib.checkpoint import Checkpoint
from lib.config import FeaturesConfig, from_dict
from lib.evaluation.encode_shards import Keep
from lib.evaluation.evaluator import _device, origin_of
from lib.share import Share

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


def test_each_process_has_its_gpu(monkeypatch):
    """By the process group, which sets the current one, or by its number among those that share a
    folder, which have no group."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert _device("auto", None) == torch.device("cuda")
    assert _device("auto", Keep(Path("e"), share=Share(5, 8, 1, 4))) == torch.device("cuda", 1)
    assert _device("cpu", None) == torch.device("cpu")
