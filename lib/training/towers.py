"""Both encoders as one module, on one process or on several."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lib.batch import Encoded, ImageBatch, PixelBatch, TextBatch, each, widened
from lib.processes import average, count, gathered, handed_round, largest


class Towers(nn.Module):
    """A model's forward pass up to the score."""

    def __init__(self, model: nn.Module):
        super().__init__()
        encoders = [
            getattr(model, name, None) for name in ("image_encoder", "text_encoder", "backbone")
        ]
        self.encoders = nn.ModuleList(encoder for encoder in encoders if encoder is not None)
        # In a tuple, so that what else the model has is no part of this: see average_gradients.
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


def scores_of_all(model: nn.Module, images: Encoded, texts: Encoded) -> Tensor:
    """Encodings of each process's share -> (B, B) float32 scores of the whole batch, everywhere.

    A product of vectors takes no time, and every process computes all of it. Where a score takes
    more, each one scores its own images with all captions.
    """
    if count() == 1:
        return model.score(images, texts)
    if model.pairwise:
        return gathered(model.score(images, _of_all(texts, handed_round)))
    return model.score(_of_all(images, gathered), _of_all(texts, gathered))


def _of_all(encoded: Encoded, gather: Callable[[Tensor], Tensor]) -> Encoded:
    def of_all(tensor: Tensor) -> Tensor:
        if tensor.dim() > 1:
            tensor = widened(tensor, largest(tensor.shape[1]))
        return gather(tensor)

    return each(encoded, of_all)


def average_gradients(model: nn.Module) -> None:
    """Of the parameters that are outside :class:`Towers`, those of the score for one."""
    if count() == 1:
        return
    inside = {id(parameter) for parameter in Towers(model).parameters()}
    for parameter in model.parameters():
        if id(parameter) not in inside and parameter.grad is not None:
            parameter.grad.copy_(average(parameter.grad))
