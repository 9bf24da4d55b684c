"""Splits of random features and captions of a caption's usual length, of the paper's sizes."""

from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from transformers import BertConfig, BertModel, BertTokenizer
from transformers.utils.logging import disable_progress_bar

from lib.config import Config, from_dict
from lib.data.captions import CAPTIONS_PER_IMAGE

REGIONS, WIDTH, CATEGORIES, CELLS, MAP = 36, 2048, 133, 7, 64
PIECES = 12  # mean of a caption's, [CLS] and [SEP] aside; their spread is sqrt(12)
AGAIN = 500  # pictures whose random values are used again for the next ones
WORDS = 30_000


def write_bert(folder: Path, layers: int = 12) -> Path:
    """BERT-base, random, with a vocabulary of made-up words; fewer layers if asked for."""
    folder.mkdir(parents=True)
    config = BertConfig(num_hidden_layers=layers)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    entries = [*special, *(f"w{i}" for i in range(WORDS))]
    (folder / "vocab.txt").write_text("".join(f"{e}\n" for e in entries), encoding="utf-8")
    disable_progress_bar()
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def write_split(root: Path, name: str, images: int) -> None:
    """Features of ``images`` pictures, float32, and five captions each, for dataset coco."""
    folder = root / "coco_precomp"
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    shapes = {
        "ims": (REGIONS, WIDTH),
        "segmentations": (CATEGORIES, CELLS, CELLS),
        "seg_maps": (MAP, MAP),
        "cat_onehots": (CATEGORIES,),
    }
    present = (generator.random((AGAIN, CATEGORIES)) < 0.05).astype(np.float32)
    values = {
        "ims": np.maximum(generator.standard_normal((AGAIN, *shapes["ims"]), np.float32), 0),
        "segmentations": generator.random((AGAIN, *shapes["segmentations"]), np.float32) ** 8
        * present[:, :, None, None],
        "seg_maps": generator.integers(0, CATEGORIES, (AGAIN, MAP, MAP)).astype(np.float32),
        "cat_onehots": present,
    }
    for stem, shape in shapes.items():
        path = folder / f"{name}_{stem}.npy"
        array = open_memmap(path, mode="w+", dtype=np.float32, shape=(images, *shape))
        for start in range(0, images, AGAIN):
            part = array[start : start + AGAIN]
            part[:] = values[stem][: len(part)]
        array.flush()
    lines = [
        " ".join(f"w{word}" for word in generator.integers(0, WORDS, int(length)))
        for length in np.maximum(
            generator.gamma(PIECES, size=CAPTIONS_PER_IMAGE * images).round(), 3
        )
    ]
    (folder / f"{name}_caps.txt").write_text("".join(f"{line}\n" for line in lines))
    (folder / f"{name}_ids.txt").write_text("".join(f"{i}\n" for i in range(images)))


def settings(root: Path, bert: Path, **train: object) -> Config:
    """The configuration of region-level 3SHNet on them."""
    values = {
        "data": {"root": str(root), "dataset": "coco"},
        "features": {"regions": REGIONS},
        "model": {"bert": str(bert)},
        "train": train,
        "run": {"out": str(root / "run")},
    }
    return from_dict(values, "benchmark")
