import os

# Nothing here may wait for a network: a name that is not a folder fails at once.
os.environ["HF_HUB_OFFLINE"] = "1"
# Tiny models are faster on one thread, and equal bits need equal threads in every process.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest

from lib.config import load_config
from lib.demo.scenes.files import write_world
from lib.demo.scenes.world import World
from lib.demo.small_bert import write_small_bert
from tests.support import ROOT

TINY = World(train=24, dev=8, test=10, regions=6, img_dim=32, map_size=16)


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """The root of a tiny scenes world, its BERT in ``scenes_precomp/bert``; read only."""
    root = tmp_path_factory.mktemp("world")
    folder = root / "scenes_precomp"
    write_world(TINY, folder)
    write_small_bert(folder / "bert", folder / "train_caps.txt", hidden=32, layers=1)
    return root


@pytest.fixture(scope="session")
def settings(world):
    """Overrides that make configs/scenes_{region,grid}.yaml fit the tiny world."""
    return [
        f"data.root={world}",
        "data.workers=0",
        "model.img_dim=32",
        "model.embed_size=32",
        "model.map_size=16",
        f"model.bert={world / 'scenes_precomp' / 'bert'}",
        "train.epochs=2",
        "train.batch_size=16",
        "train.sum_epochs=1",
        "run.device=cpu",
    ]


@pytest.fixture(scope="session")
def cmsei_settings(settings):
    """The same for configs/scenes_cmsei.yaml, whose family has no label map."""
    return [setting for setting in settings if not setting.startswith("model.map_size")]


@pytest.fixture
def config(settings, tmp_path):
    """A function that loads the tiny config with further overrides."""

    def load(*overrides):
        out = f"run.out={tmp_path / 'run'}"
        return load_config(ROOT / "configs" / "scenes_region.yaml", [*settings, out, *overrides])

    return load
