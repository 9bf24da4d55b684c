"""Training on several GPUs: encoders in DistributedDataParallel, scores over all ranks."""

from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lib.batch import Encoded, ImageBatch, PixelBatch, TextBatch, map_tensors, pad_rows
from lib.distributed import all_gather, all_reduce_max, all_reduce_mean, world_size
from lib.models.common.retrieval_model import RetrievalModel


class Encoders(nn.Module):
    """A model's forward pass up to the score."""

    def __init__(self, model: RetrievalModel):
        super().__init__()
        self.encoders = nn.ModuleList(model.encoders())
        # In a tuple, so that the score's parameters are not registered: see average_gradients.
        self._model = (model,)

    def forward(self, images: ImageBatch | PixelBatch, texts: TextBatch) -> tuple[Any, Any]:
        """What ``encode_images`` and ``encode_texts`` give."""
        (model,) = self._model
        return model.encode_images(images), model.encode_texts(texts)


def wrap_encoders(model: RetrievalModel) -> nn.Module:
    """:class:`Encoders`; with several ranks, gradients are averaged over them in backward. Wrap
    again whenever other parameters of the model begin to learn."""
    if world_size() == 1:
        return Encoders(model)
    # Some parameters get no gradient, such as a part of a pretrained network.
    return DistributedDataParallel(Encoders(model), find_unused_parameters=True)


def scores_of_all(model: RetrievalModel, images: Encoded, texts: Encoded) -> Tensor:
    """Encodings of each rank's share -> (B, B) float32 scores of the whole batch, on every rank. A
    product of vectors takes no time: every rank computes all of it. In a family that scores pairs
    each rank scores its own images with all captions."""
    if world_size() == 1:
        return model.score(images, texts)
    if model.pairwise:
        return all_gather(model.score(images, _of_all(texts)))
    return model.score(_of_all(images), _of_all(texts))


def _of_all(encoded: Encoded) -> Encoded:
    def of_all(tensor: Tensor) -> Tensor:
        if tensor.dim() > 1:
            tensor = pad_rows(tensor, all_reduce_max(tensor.shape[1]))
        return all_gather(tensor)

    return map_tensors(encoded, of_all)


def average_gradients(model: RetrievalModel, loss: nn.Module) -> None:
    """Average the gradients of parameters outside the encoders, such as those of the score and of
    the ``loss``."""
    if world_size() == 1:
        return
    inside = {id(parameter) for parameter in Encoders(model).parameters()}
    for parameter in (*model.parameters(), *loss.parameters()):
        if id(parameter) not in inside and parameter.grad is not None:
            parameter.grad.copy_(all_reduce_mean(parameter.grad))
