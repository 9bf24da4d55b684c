"""What several tests build: released files from the golden fixtures, tiny worlds, processes."""

import argparse
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import BertConfig, BertModel

from lib.batch import ImageBatch
from lib.checkpoint import Checkpoint, load_checkpoint, load_weights
from lib.config import from_dict
from lib.evaluation.records import Origin
from lib.evaluation.scores import save_embeddings, save_results
from lib.models.common.bert import BertTokenizer
from lib.models.threeshnet.model import ThreeSHNet
from lib.training.loop import Run
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
    model = ThreeSHNet(checkpoint.config.model, BertModel(bert))
    load_weights(model, checkpoint, path)
    return model.eval()


def golden_images(case, lengths):
    lengths = np.asarray(lengths, np.int64)
    values = fill.batch(case, len(lengths), lengths)
    tensors = {key: torch.from_numpy(value) for key, value in values.items()}
    arrays = {name: tensors[name] for name in ("semantic", "seg_map", "categories")}
    features, count = tensors["images"], len(lengths)
    return ImageBatch(features, torch.from_numpy(lengths), torch.arange(count), arrays)


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


TRAIN = ("python", "train.py", "--config", "configs/scenes_region.yaml")
TORCHRUN = ("python", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
LARGEST = 2e-5  # deviation, of a gradient's norm; float32 sums in another order


def fit(config, run=Run, **flags):
    """Train in this process, where starting Python and torch anew would show nothing."""
    run = run(config, flags.get("resume", False), flags.get("overwrite", False))
    run.fit(["test"])
    return run


def same(one, other):
    """Two checkpoints, bit for bit: weights, optimiser, progress and random states."""
    assert one.model.keys() == other.model.keys()
    for key, value in one.model.items():
        assert torch.equal(value, other.model[key]), key
    for a, b in zip(one.training["optimizer"]["state"].values(),
                    other.training["optimizer"]["state"].values(), strict=True):  # fmt: skip
        assert all(torch.equal(a[k], b[k]) for k in ("step", "exp_avg", "exp_avg_sq"))
    assert one.progress == other.progress
    for a, b in zip(one.training["random"], other.training["random"], strict=True):
        assert torch.equal(a["cpu"], b["cpu"])


def deviations(one, other):
    """Each tensor's deviation from ``other``, by the norm of ``other``.

    A bias before a normalisation has a gradient of rounding errors alone: small norms count as a
    hundredth of the largest gradient's.
    """
    assert one.keys() == other.keys()
    norms = {name: value.double().norm().item() for name, value in other.items()}
    least = 1e-2 * max(norm for name, norm in norms.items() if "buffer" not in name)
    return {
        name: (one[name] - value).double().norm().item() / max(norms[name], least)
        for name, value in other.items()
    }


def cut_split(world, target, split, images):
    """The world with ``split`` cut to its first images."""
    shutil.copytree(world / "scenes_precomp", target / "scenes_precomp")
    folder = target / "scenes_precomp"
    for path in folder.glob(f"{split}_*.npy"):
        np.save(path, np.load(path)[:images])
    for name, lines in (("caps", 5 * images), ("ids", images)):
        path = folder / f"{split}_{name}.txt"
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:lines]))
    return target


def tokenizer_of(config):
    """The tokenizer of a config's BERT."""
    return BertTokenizer(config.model.bert)


def noisy_scores(seed, n=10):
    """(n, 5n): right more often than not."""
    noise = np.random.default_rng(seed).standard_normal((n, 5 * n))
    return (np.repeat(np.eye(n), 5, axis=1) + 0.6 * noise).astype(np.float32)


def write_scores(path, noise=0, dataset="f30k", split="test", ids=None, n=10, **origin):
    """A file of :func:`noisy_scores`, as eval.py saves it."""
    ids = [f"{i}" for i in range(n)] if ids is None else ids
    origin = Origin(**{"checkpoint": f"{path.stem}.pth", "model": "3SHNet"} | origin)
    save_results(path, noisy_scores(noise, n), ids, dataset, split, origin)
    return path


def write_embeddings(path, images, captions, ids):
    """A file of embeddings, as eval.py saves it."""
    save_embeddings(path, images, captions, ids, "scenes", "test", Origin("a.pth"))


def released_scores(path, content, protocol=3):
    """As the release's np.save of a dict does it, whichever NumPy it had."""
    with path.open("wb") as file:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(file, header)
        pickle.dump(np.array(content, object), file, protocol=protocol)
    return path


def naive_segmentation(labels, map_size):
    """Shares, label map and presence of exact labels whose side is a multiple of 7."""
    side = len(labels) // 7
    shares, presence = np.zeros((133, 7, 7), np.float32), np.zeros(133, np.float32)
    for number in set(np.unique(labels).tolist()) - {255}:
        shares[number] = (labels == number).reshape(7, side, 7, side).mean(axis=(1, 3))
        presence[number] = 1
    size, nearest = (map_size, map_size), Image.Resampling.NEAREST
    return shares, np.array(Image.fromarray(labels).resize(size, nearest)), presence


def small_model(**sizes):
    config = from_dict({"model": {"img_dim": 8, "embed_size": 16, "map_size": 4, **sizes}}, "t")
    bert = BertConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=20,
    )  # fmt: skip
    model = ThreeSHNet(config.model, BertModel(bert))
    return model, Checkpoint(config, model.state_dict(), progress={"epoch": 1})


def detectron2_state(network):
    """The network's weights under the names of grid-feats-vqa's X-101.pth."""
    renamed = {}
    for name, tensor in network.state_dict().items():
        if name.startswith("fc.") or name.endswith("num_batches_tracked"):
            continue
        parts = name.split(".")
        if parts[0] in ("conv1", "bn1"):
            new = "backbone.stem.conv1"
            last = "weight" if parts[0] == "conv1" else f"norm.{parts[1]}"
        else:
            stage = f"backbone.res{int(parts[0][-1]) + 1}.{parts[1]}"
            if parts[2] == "downsample":
                new, norm = f"{stage}.shortcut", parts[3] == "1"
            else:
                new, norm = f"{stage}.conv{parts[2][-1]}", parts[2].startswith("bn")
            last = f"norm.{parts[-1]}" if norm else "weight"
        renamed[f"{new}.{last}"] = tensor.numpy()
    renamed["proposal_generator.rpn_head.conv.weight"] = np.zeros(3, np.float32)
    renamed["pixel_mean"] = np.zeros((3, 1, 1), np.float32)
    return renamed
