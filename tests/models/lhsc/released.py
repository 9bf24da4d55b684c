"""The golden fixtures' LHSC: a released file's content, and the model that it becomes."""

import argparse
import json

import numpy as np
import torch

from lib.batch import ImageBatch, TextBatch
from lib.models.lhsc.model import LHSC
from lib.models.lhsc.released import Layout
from tests.golden import fill
from tests.support import GOLDEN

KEYS = json.loads((GOLDEN / "lhsc_keys.json").read_text())
SIDES = ("image", "text", "similarity")
STRIDE = 32  # every so many channels are recorded


def weight(name, shape):
    """As the fixtures' weights: scaled so that every part is felt."""
    scales = {".W.1.weight": 0.01, "_global_w.embedding_common.0.weight": 100.0}
    scales["sim_eval_w.weight"] = 30.0
    value = np.asarray(fill.weight(name, shape))
    for ending, scale in scales.items():
        if name.endswith(ending):
            value = value * np.float32(scale)
    return torch.from_numpy(np.asarray(value))


def states():
    """Image, text and similarity."""
    return [{name: weight(name, shape) for name, shape in KEYS[side].items()} for side in SIDES]


def content(**opt):
    """What a released file holds."""
    options = {"data_name": "f30k_precomp", "margin": 0.2, "learning_rate": 2e-4, "word_dim": 300}
    return {
        "epoch": 31,
        "model": states(),
        "best_rsum": 512.5,
        "opt": argparse.Namespace(**options | opt),
        "Eiters": 36_256,
    }


def golden_model(padding):
    """In evaluation mode, through the layout."""
    found = Layout().read(states(), {"padding": padding})
    model = LHSC(found.config, KEYS["text"]["embed.weight"][0])
    model.load_state_dict(found.state)
    return model.eval()


def golden_images(case, count):
    features = torch.from_numpy(fill.batch(case, count, [36] * count)["images"])
    return ImageBatch(features, torch.full((count,), 36), torch.arange(count))


def golden_captions(case, lengths):
    ids = torch.from_numpy(fill.captions(case, lengths))
    return TextBatch(ids, torch.tensor(lengths), torch.arange(len(lengths)))


def deviation(found, expected):
    return float(np.abs(np.asarray(found.detach(), np.float64) - expected).max())
