import os

# Nothing here may wait for a network: a name that is not a folder fails at once.
os.environ["HF_HUB_OFFLINE"] = "1"
# Tiny models are faster on one thread, and equal bits need equal threads in every process.
os.environ["OMP_NUM_THREADS"] = "1"

import shutil

import pytest
import torch
from torchvision.models import resnext101_32x8d
from transformers import BertConfig

from lib.config import load_config
from lib.demo.scenes.files import write_world
from lib.demo.scenes.world import World
from lib.demo.small_bert import write_small_bert
from lib.models.common.bert import BertTokenizer
from tests.models.clip.small import write_clip, write_siglip
from tests.support import GOLDEN, ROOT, detectron2_state

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


@pytest.fixture(scope="session")
def lhsc_settings(cmsei_settings):
    """The same for configs/scenes_lhsc.yaml, whose family has words of its own."""
    kept = [setting for setting in cmsei_settings if not setting.startswith("model.bert=")]
    return [*kept, "model.word_dim=16", "model.sim_dim=16", "model.regions=6"]


@pytest.fixture
def config(settings, tmp_path):
    """A function that loads the tiny config with further overrides."""

    def load(*overrides):
        out = f"run.out={tmp_path / 'run'}"
        return load_config(ROOT / "configs" / "scenes_region.yaml", [*settings, out, *overrides])

    return load


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A network with statistics that are not those of a fresh one, and its Detectron2 file."""
    torch.manual_seed(3)
    network = resnext101_32x8d().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    path = tmp_path_factory.mktemp("weights") / "X-101.pth"
    torch.save({"model": detectron2_state(network), "__author__": "x"}, path)
    return network, path


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory):
    """A folder with what --bert needs: a config and a vocabulary."""
    folder = tmp_path_factory.mktemp("bert")
    shutil.copy(GOLDEN / "bert_vocab.txt", folder / "vocab.txt")
    BertConfig().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(bert_folder):
    return BertTokenizer(str(bert_folder))


@pytest.fixture(scope="session")
def hubs(world, tmp_path_factory):
    """Kind -> the folder of a small CLIP, or SigLIP, with random weights."""
    captions = (world / "scenes_precomp" / "test_caps.txt").read_text().splitlines()
    folders = {}
    for kind, write in (("clip", write_clip), ("siglip", write_siglip)):
        folders[kind] = write(tmp_path_factory.mktemp(kind), captions)
    return folders
