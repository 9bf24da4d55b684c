"""Both encoders as one module, on one process or on several."""

from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lib.batch import Encoded, ImageBatch, PixelBatch, TextBatch, each, widened
from lib.processes import count, gathered, largest


class Towers(nn.Module):
    """A model's forward pass up to the score."""

    def __init__(self, model: nn.Module):
        super().__init__()
        encoders = [
            getattr(model, name, None) for name in ("image_encoder", "text_encoder", "backbone")
        ]
        self.encoders = nn.ModuleList(encoder for encoder in encoders if encoder is not None)
        # Without the parameters of its score: every process computes that of the whole batch.
        self._model = (model,)

    def forward(self, images: ImageBatch | PixelBatch, texts: TextBatch) -> tuple[Any, Any]:
        """What ``encode_images`` and ``encode_texts`` give."""
        (model,) = self._model
        return model.encode_images(images), model.encode_texts(texts)


def towers(model: nn.Module) -> nn.Module:
    """:class:`Towers`; with several processes, gradients are averaged over them in backward.

    To be made anew whenever other parameters of the model begin to learn.
    """
    if count() == 1:
        return Towers(model)
    # BERT's own pooler, for one, takes no part.
    return DistributedDataParallel(Towers(model), find_unused_parameters=True)


def of_all_processes(encoded: Encoded) -> Encoded:
    """Encodings of each process's share -> those of the whole batch, with gradients."""
    return encoded if count() == 1 else each(encoded, _of_all)


def _of_all(tensor: Tensor) -> Tensor:
    if tensor.dim() > 1:
        tensor = widened(tensor, largest(tensor.shape[1]))
    return gathered(tensor)
