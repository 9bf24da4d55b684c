"""VSE-infinity's released grid checkpoints, made of the golden fixtures' weights."""

import argparse
import json
from functools import cache

import numpy as np
import torch
from transformers import BertModel

from lib.batch import PixelBatch
from lib.checkpoint import load_checkpoint, load_weights
from lib.models.common.backbone import Backbone, build_network, normalisation_of
from lib.models.common.end_to_end import EndToEnd
from lib.models.threeshnet.model import ThreeSHNet
from tests.golden import fill
from tests.support import GOLDEN, SMALL_BERT, bert_config, released_checkpoint

KEYS = json.loads((GOLDEN / "vse_grid_keys.json").read_text())
RECORDED = np.load(GOLDEN / "vse_grid.npz")
SAME = {"base.0.": "conv1.", "base.1.": "bn1.", "base.4.": "layer1.", "base.5.": "layer2.",
        "base.6.": "layer3.", "top.0.": "layer4."}  # fmt: skip


def first_name(key):
    """The name that a tensor's values are made from."""
    for second, first in SAME.items():
        if key.startswith(f"backbone.{second}"):
            return "backbone.resnet." + first + key.removeprefix(f"backbone.{second}")
    return key


@cache
def value(name, shape):
    array = np.asarray(fill.weight(name, list(shape)))
    return torch.from_numpy(array * np.float32(0.2) if name.endswith(".bn3.weight") else array)


def released(source, prefix="module.", **opt):
    """A grid checkpoint as the public code saves it."""
    raw = released_checkpoint(bert_config(**SMALL_BERT))
    image = {f"{prefix}{key}": value(first_name(key), tuple(s)) for key, s in KEYS[source].items()}
    text = {f"{prefix}{k.removeprefix('module.')}": v for k, v in raw["model"][1].items()}
    options = {"backbone_source": source, "input_scale_factor": 2.0, "precomp_enc_type": "backbone"}
    raw["opt"] = argparse.Namespace(**vars(raw["opt"]) | options | opt)
    return raw | {"model": [image, text]}


def model_of(path):
    checkpoint = load_checkpoint(path)
    config = checkpoint.config.model
    family = ThreeSHNet(config, BertModel(bert_config(**SMALL_BERT)))
    pixels = normalisation_of(config.backbone_weights, config.backbone_pixels)
    model = EndToEnd(Backbone(build_network(config.backbone)), pixels, family)
    load_weights(model, checkpoint, path)
    return checkpoint.config, model.eval()


def golden_picture(source):
    """A batch of one picture of random pixels."""
    stream = fill._stream(f"vse grid {source}")
    picture = stream.randint(0, 256, (256, 256, 3)).astype(np.uint8)
    pixels = torch.from_numpy(picture.transpose(2, 0, 1).copy())[None]
    return PixelBatch(pixels, torch.ones(1, 8, 8, dtype=torch.bool), torch.arange(1))
