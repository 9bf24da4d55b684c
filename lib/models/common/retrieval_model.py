"""The base class of every family's model: two encoders and a score."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from lib.batch import TextBatch

ParameterGroup = dict[str, Any]  # name, params, lr


class RetrievalModel(nn.Module):
    """Encodes images and captions apart, and scores every image with every caption."""

    pairwise = False  # whether a score takes more than a product of two vectors
    # How many neighbours evaluation encodes at once, where an encoding depends on its batch.
    caption_batch: int | None = None
    image_encoder: nn.Module
    text_encoder: nn.Module

    def encode_images(self, batch: Any) -> Any:
        """B images -> (B, D) float32 vectors, or Tensors of a family that scores pairs."""
        return self.image_encoder(batch)

    def encode_texts(self, batch: TextBatch) -> Any:
        """B captions -> (B, D) float32 vectors, or Tensors of a family that scores pairs."""
        return self.text_encoder(batch)

    def score(self, images: Any, texts: Any) -> Tensor:
        """(n, D) and (m, D) float32 -> (n, m) float32: dot products, cosines for unit vectors."""
        return images @ texts.T

    def encoders(self) -> Sequence[nn.Module]:
        """The modules whose forward passes encode; DistributedDataParallel holds them."""
        return self.image_encoder, self.text_encoder

    def frozen_text_encoder(self) -> Any:
        """The module whose text network does not learn and whose states can be kept, a
        :class:`lib.models.common.bert.TokenEncoder`; None: there is no such network."""
        cached = (m for m in self.modules() if hasattr(m, "fill_cache"))
        return next((m for m in cached if m.frozen), None)

    def parameter_groups(self, lr: float) -> list[ParameterGroup]:
        """Every parameter once, in groups with their base rates, for the run's rate ``lr``."""
        return [{"name": "model", "params": list(self.parameters()), "lr": lr}]
