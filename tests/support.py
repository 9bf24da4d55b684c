"""What several tests build: released files from the golden fixtures, tiny worlds, processes."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertModel

from lib.batch import ImageBatch
from lib.checkpoint import load_checkpoint, load_weights
from lib.models import build_model
from tests.golden import fill

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"
RELEASED = json.loads((GOLDEN / "released_keys.json").read_text())
SMALL_BERT = {"vocab_size": 200, "num_hidden_layers": 2, "intermediate_size": 128}
SMALL_BERT |= {"max_position_embeddings": 64}
VSE_INFINITY = ("fc", "mlp", "gpool")


def bert_config(**sizes):
    return BertConfig(**sizes)


def released_shapes(side, bert=None):
    """Names and shapes of a released state; ``bert`` replaces BERT-base's sizes."""
    shapes = {key: list(shape) for key, shape in RELEASED[side].items()}
    if side == "image" or bert is None:
        return shapes
    resized = {}
    for key, shape in shapes.items():
        if "encoder.layer." in key and int(key.split(".")[3]) >= bert.num_hidden_layers:
            continue
        if "word_embeddings" in key:
            shape[0] = bert.vocab_size
        if "position_embeddings" in key:
            shape[0] = bert.max_position_embeddings
        if "position_ids" in key:
            shape[1] = bert.max_position_embeddings
        if "intermediate.dense" in key:
            shape[0] = bert.intermediate_size
        if ".output.dense.weight" in key and "attention" not in key:
            shape[1] = bert.intermediate_size
        resized[key] = shape
    return resized


def released_checkpoint(bert=None, image_parts=None, **opt):
    """A file's content as the release saves it, weights from ``fill``."""

    def state(side, prefixes=None):
        return {
            f"module.{key}": torch.from_numpy(np.asarray(fill.weight(key, shape)))
            for key, shape in released_shapes(side, bert).items()
            if prefixes is None or key.split(".")[0] in prefixes
        }

    options = {
        "data_name": "coco_precomp",
        "img_dim": 2048,
        "embed_size": 1024,
        "margin": 0.2,
        "no_imgnorm": False,
        "no_txtnorm": False,
        "precomp_enc_type": "basic",
    }
    return {
        "epoch": 17,
        "best_rsum": np.float64(538.0),
        "Eiters": 39_821,
        "opt": argparse.Namespace(**options | opt),
        "model": [state("image", image_parts), state("text")],
    }


def golden_model(path, image_parts=None, **opt):
    """The golden fixtures' model, through a released file and its key map, in evaluation mode."""
    bert = bert_config(**SMALL_BERT)
    torch.save(released_checkpoint(bert, image_parts, **opt), path)
    checkpoint = load_checkpoint(path)
    model = build_model(checkpoint.config.model, BertModel(bert))
    load_weights(model, checkpoint, path)
    return model.eval()


def golden_images(case, lengths):
    lengths = np.asarray(lengths, np.int64)
    values = fill.batch(case, len(lengths), lengths)
    tensors = {key: torch.from_numpy(value) for key, value in values.items()}
    return ImageBatch(
        tensors["images"],
        torch.from_numpy(lengths),
        torch.arange(len(lengths)),
        tensors["semantic"],
        tensors["seg_map"],
        tensors["categories"],
    )


def run(*command, cwd=ROOT, env=None, timeout=280):
    """Run a command of the project as a user would; returns the finished process."""
    words = [sys.executable if word == "python" else str(word) for word in command]
    return subprocess.run(
        words, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False
    )


def succeed(*command, **options):
    done = run(*command, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fail(*command, traceback=False, **options):
    """Run a command that must end with one readable error; returns it.

    ``traceback`` allows one, which torchrun prints of its own.
    """
    done = run(*command, **options)
    assert done.returncode != 0, done.stdout
    assert traceback or "Traceback" not in done.stderr, done.stderr
    return done.stderr
