"""The base class of every family's model: two encoders and a score."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lib.batch import TextBatch
from lib.models.common.explanation import Explanation

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

    def explain(self, images: Any, texts: TextBatch | None = None) -> Explanation:
        """What the model looks at in B images and, where a sentence for each is given, in these
        pairs. Computed here alone: encoding and scoring know nothing of it. In evaluation mode,
        without gradients; the model's mode is restored."""
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                return self._explain(images, texts)
        finally:
            self.train(was_training)

    def _explain(self, images: Any, texts: TextBatch | None) -> Explanation:
        """A family's own; without it there is nothing to show but which regions are real."""
        return Explanation(images.mask)

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
