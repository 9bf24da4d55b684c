"""What a family's model does if it does not say otherwise."""

import torch
from torch import nn

from lib.models.common.retrieval_model import RetrievalModel


def test_the_plain_contract():
    model = RetrievalModel()
    model.image_encoder, model.text_encoder = nn.Linear(3, 2), nn.Linear(4, 2)
    images, texts = torch.randn(5, 3), torch.randn(6, 4)
    vectors = model.encode_images(images), model.encode_texts(texts)
    scores = model.score(*vectors)
    assert scores.shape == (5, 6)
    torch.testing.assert_close(scores[2, 4], (vectors[0][2] * vectors[1][4]).sum())
    assert list(model.encoders()) == [model.image_encoder, model.text_encoder]
    assert not model.pairwise
    (group,) = model.parameter_groups(0.1)
    assert group["lr"] == 0.1
    assert len(group["params"]) == len(list(model.parameters())) == 4
