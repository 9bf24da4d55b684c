"""Encodes a split: each image once, each caption once, captions batched by length."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from lib.data.arrays import CAPTIONS_PER_IMAGE
from lib.data.captions import TokenisedCaptions
from lib.data.dataset import image_loader, text_batches
from lib.data.features import Split
from lib.device import arithmetic

SCORE_ROWS = 512  # images scored at once on the device


@dataclass(frozen=True)
class Embeddings:
    """What the encoders made of a split, in the split's order, on the CPU."""

    images: Tensor  # (n, D) float32
    captions: Tensor  # (5n, D) float32

    def scores(self, model: nn.Module) -> np.ndarray:
        """(n, 5n) float32 by ``model.score``, in chunks of images."""
        matrix = np.empty((len(self.images), len(self.captions)), np.float32)
        device = next(model.parameters()).device
        captions = self.captions.to(device)
        with torch.inference_mode():
            for start in range(0, len(matrix), SCORE_ROWS):
                rows = self.images[start : start + SCORE_ROWS].to(device)
                matrix[start : start + SCORE_ROWS] = model.score(rows, captions).cpu().numpy()
        return matrix


def encode_split(
    model: nn.Module,
    split: Split,
    captions: TokenisedCaptions,
    batch_size: int,
    workers: int,
    images: int | None = None,
    precision: str = "fp32",
) -> Embeddings:
    """Encode a split in evaluation mode; the model's mode is restored.

    Args:
        model: its parameters' device is where the work is done.
        split: the images.
        captions: the split's captions, tokenised.
        batch_size: images, or captions, per batch.
        workers: processes that read images.
        images: only the first so many images and their captions; None: all.
        precision: ``fp32``, ``tf32`` or ``bf16``; embeddings are float32 whichever it is.

    Raises:
        InputError: NaN or infinite features.
    """
    count = len(split.image_ids) if images is None else min(images, len(split.image_ids))
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), arithmetic(device, precision):
            loader = image_loader(split, count, batch_size, workers, device.type == "cuda")
            encoded = [
                model.encode_images(batch.to(device)).float().cpu()
                for batch in tqdm(loader, f"images of {split.name}", leave=False, disable=None)
            ]
            texts = text_batches(captions, count * CAPTIONS_PER_IMAGE, batch_size)
            encoded_texts = [
                model.encode_texts(batch.to(device)).float().cpu()
                for batch in tqdm(texts, f"captions of {split.name}", leave=False, disable=None)
            ]
    finally:
        model.train(was_training)
    by_length = torch.cat(encoded_texts)
    in_order = torch.empty_like(by_length)
    in_order[torch.cat([batch.indices for batch in texts])] = by_length
    return Embeddings(torch.cat(encoded), in_order)
