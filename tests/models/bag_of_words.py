"""A family that the registry does not have: no BERT, words of its own, an array of its own.

python -m tests.models.bag_of_words train.py --config F ...   # any program, with it registered
"""

import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from lib.batch import ImageBatch, TextBatch
from lib.models import FAMILIES, family
from lib.models.common.retrieval_model import RetrievalModel
from lib.models.family import Float, setting
from tests.training import killed

NAME = "bag_of_words"
KILL = "KILLED_BEFORE_UPDATE"  # the environment's way to have a training killed


class Config(family.FamilyConfig):
    """Its settings; ``depth`` is of no other family."""

    family: Literal["bag_of_words"] = setting(NAME, "a bag of words")
    embed_size: int = setting(32, "size of the joint embedding", ge=2)
    depth: int = setting(1, "layers on top of the mean", ge=1, le=3)
    saliency: bool = setting(True, "weigh regions; false: *_saliency.npy is not read")
    words_lr_scale: Float = setting(2.0, "the words' rate is train.lr times this", ge=0)


class Words(family.Tokenizer):
    """Whole words, numbered as the training captions bring them; padding is not zero."""

    prefix, suffix = (2,), ()
    mask_id, padding_id, unknown_id, first = 0, 1, 3, 4
    max_length = 12

    def __init__(self, words: Sequence[str]):
        self.words = list(words)
        self.numbers = {word: number for number, word in enumerate(self.words, self.first)}
        self.random_ids = (self.first, self.first + len(self.words))
        self.begins_word = np.ones(self.first + len(self.words), bool)

    def encode(self, captions: Sequence[str]) -> list[list[int]]:
        """A number per word."""
        return [
            [self.numbers.get(word, self.unknown_id) for word in caption.lower().split()]
            for caption in captions
        ]

    def state(self) -> dict[str, Any]:
        """The vocabulary."""
        return {"words": self.words}


class Images(nn.Module):
    """The weighted mean of regions."""

    def __init__(self, config: Config):
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(config.img_dim, config.embed_size)]
        for _ in range(config.depth - 1):
            layers += [nn.ReLU(), nn.Linear(config.embed_size, config.embed_size)]
        self.layers = nn.Sequential(*layers)

    def forward(self, batch: ImageBatch) -> Tensor:
        """(B, D) of unit length."""
        weights = batch.mask.float()
        if "saliency" in batch.arrays:
            assert batch.arrays["saliency"].shape == weights.shape
            weights = weights * batch.arrays["saliency"]
        mean = (weights[..., None] * batch.features).sum(1) / weights.sum(1, keepdim=True)
        return nn.functional.normalize(self.layers(mean), dim=-1)


class Captions(nn.Module):
    """The mean of words."""

    def __init__(self, size: int, vocabulary: int):
        super().__init__()
        self.words = nn.Embedding(vocabulary, size)

    def forward(self, batch: TextBatch) -> Tensor:
        """(B, D) of unit length."""
        assert (batch.ids[~batch.mask] == Words.padding_id).all()
        rows = self.words(batch.ids) * batch.mask[..., None]
        return nn.functional.normalize(rows.sum(1), dim=-1)


class BagOfWords(RetrievalModel):
    """Two encoders, a rate for each."""

    def __init__(self, config: Config, vocabulary: int):
        super().__init__()
        self.scale = config.words_lr_scale
        self.image_encoder = Images(config)
        self.text_encoder = Captions(config.embed_size, vocabulary)

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Words learn at their own rate."""
        images, words = self.image_encoder.parameters(), self.text_encoder.parameters()
        return [
            {"name": "words", "params": list(words), "lr": lr * self.scale},
            {"name": "regions", "params": list(images), "lr": lr},
        ]


class Family(family.Family):
    """The contract, as short as it gets."""

    name = NAME
    Config = Config

    def title(self, config: Config) -> str:
        """An ablation says so."""
        return "BoW" + family.without({"saliency": config.saliency})

    def inputs(self, config: Config) -> Sequence[family.Input]:
        """A weight per region."""
        spec = family.Input("saliency", "saliency", (None,), "regions", region_axes=1)
        return [spec] if config.saliency else []

    def tokenizer(
        self,
        config: Config,
        captions: Sequence[str] | None = None,
        state: dict[str, Any] | None = None,
        folders: Sequence[Path] = (),
    ) -> Words:
        """The checkpoint's words, or those of the training captions."""
        if state is not None:
            return Words(state["words"])
        return Words(sorted({word for caption in captions for word in caption.lower().split()}))

    def build(self, config: Config, tokenizer: Words, pretrained: bool) -> BagOfWords:
        """As large as the vocabulary."""
        return BagOfWords(config, len(tokenizer.begins_word))


if __name__ == "__main__":
    FAMILIES[NAME] = Family()
    if KILL in os.environ:
        killed.arrange(int(os.environ[KILL]))
    sys.argv = sys.argv[1:]
    if sys.argv[0].startswith("lib."):
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
