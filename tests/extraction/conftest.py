import numpy as np
import pytest

from lib.data.segmentation import VOID
from lib.demo.scenes.world import World, render, sample_scenes
from tests.extraction.panoptic import write_panoptic


@pytest.fixture
def result(tmp_path):
    """Exact maps of 24 scenes as a panoptic result, and a folder with their ids."""
    scenes = sample_scenes(World(), "train", 24)
    maps = {}
    for i, scene in enumerate(scenes):
        maps[f"{i + 1:012d}"] = render(scene, "a", np.random.default_rng(i))[1]
    maps["000000000003"][:40] = VOID
    write_panoptic(tmp_path / "result", maps)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train_ids.txt").write_text("".join(f"{int(i)}\n" * 5 for i in maps))
    return tmp_path, maps
