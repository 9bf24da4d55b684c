"""LHSC (Zeng et al., ICMR 2022): hierarchical correspondences of images and sentences."""

import torch
from torch import Tensor
from transformers import BertModel

from lib.batch import ImageBatch, TextBatch
from lib.models.common.bert import bert_parameter_groups
from lib.models.common.explanation import Explanation
from lib.models.common.retrieval_model import ParameterGroup, RetrievalModel
from lib.models.lhsc.config import Config
from lib.models.lhsc.images import ImageEncoder, Regions
from lib.models.lhsc.sentences import BertEncoder, WordEncoder, Words
from lib.models.lhsc.similarity import Similarity

CPU_CHUNK_GB = 0.05  # larger chunks leave the processor's cache and are slower
RELEASED_BATCH = 100  # captions that the authors encode at once in evaluation


class LHSC(RetrievalModel):
    """Two encoders and a similarity that learns."""

    pairwise = True  # a score needs both sides: there are no vectors to compare
    pair_memory_gb = 2.0
    image_encoder: ImageEncoder
    text_encoder: WordEncoder | BertEncoder

    def __init__(self, config: Config, vocabulary: int, bert: BertModel | None = None):
        """For the ids of a vocabulary of that size, or for ``bert``'s."""
        super().__init__()
        self.bert_lr_scale = config.bert_lr_scale
        self.caption_batch = RELEASED_BATCH if config.padding == "released" else None
        self.image_encoder = ImageEncoder(config)
        self.text_encoder = (
            WordEncoder(config, vocabulary) if bert is None else BertEncoder(config, bert)
        )
        self.similarity = Similarity(config)

    def parameter_groups(self, lr: float) -> list[ParameterGroup]:
        """One group, or BERT's apart."""
        if isinstance(self.text_encoder, BertEncoder):
            return bert_parameter_groups(self, lr, self.bert_lr_scale)
        return super().parameter_groups(lr)

    def score(self, images: Regions, texts: Words) -> Tensor:
        """n images and m captions -> (n, m) float32, between 0 and 1."""
        memory = 1e9 * self.pair_memory_gb
        if images.rows.device.type == "cpu" and not torch.is_grad_enabled():
            memory = min(memory, 1e9 * CPU_CHUNK_GB)
        return self.similarity(images, texts, memory)

    def _explain(self, images: ImageBatch, texts: TextBatch | None) -> Explanation:
        regions = self.image_encoder(images)
        pooling = self.image_encoder.pooling
        shares = {} if pooling is None else {"global pooling: share": pooling.weights(regions.rows)}
        if texts is None:
            return Explanation(images.mask, shares)
        words = self.text_encoder(texts)
        of_words = {}
        if self.text_encoder.pooling is not None:
            weights = self.text_encoder.pooling.weights(words.rows, words.mask)
            of_words["global pooling: share"] = weights
        attention = {"words to regions": self.similarity.attention(regions, words)}
        return Explanation(images.mask, shares, words=of_words, attention=attention)
