"""CMSEI (Ge et al., WACV 2023): one version, I-T or T-I."""

import torch
from torch import Tensor
from transformers import BertModel

from lib.batch import ImageBatch, TextBatch
from lib.models.cmsei.config import Config
from lib.models.cmsei.graphs import Fragments, ImageEncoder, SentenceEncoder
from lib.models.cmsei.interaction import Interaction
from lib.models.common.bert import bert_parameter_groups
from lib.models.common.explanation import Explanation
from lib.models.common.retrieval_model import ParameterGroup, RetrievalModel

CPU_CHUNK_GB = 0.05  # larger chunks leave the processor's cache and are slower


class CMSEI(RetrievalModel):
    """One version, I-T or T-I; the paper's model is the mean of both versions' scores."""

    pairwise = True  # a score needs both sides: there are no vectors to compare
    pair_memory_gb = 2.0

    def __init__(self, config: Config, bert: BertModel):
        super().__init__()
        self.direction, self.bert_lr_scale = config.direction, config.bert_lr_scale
        self.image_encoder = ImageEncoder(config)
        self.text_encoder = SentenceEncoder(config, bert)
        self.interaction = Interaction(config)

    def parameter_groups(self, lr: float) -> list[ParameterGroup]:
        """Text head, BERT (its rate *inferred*), image encoder and interaction."""
        return bert_parameter_groups(self, lr, self.bert_lr_scale)

    def score(self, images: Fragments, texts: Fragments) -> Tensor:
        """n images and m captions -> (n, m) float32, cosines."""
        memory = 1e9 * self.pair_memory_gb
        if images.rows.device.type == "cpu" and not torch.is_grad_enabled():
            memory = min(memory, 1e9 * CPU_CHUNK_GB)
        if self.direction == "i2t":
            return self.interaction(images, texts, memory)
        return self.interaction(texts, images, memory).T

    def _explain(self, images: ImageBatch, texts: TextBatch | None) -> Explanation:
        if texts is None:
            return Explanation(images.mask)
        regions, words = self.encode_images(images), self.encode_texts(texts)
        by_words = self.direction == "t2i"
        sides = (words, regions) if by_words else (regions, words)
        attention = {}
        for number, weights in enumerate(self.interaction.attention(*sides), 1):
            found = weights if by_words else weights.transpose(1, 2)
            who = "words to regions" if by_words else "regions to words"
            attention[f"LLII: {who}, round {number}"] = found
        return Explanation(images.mask, attention=attention)
