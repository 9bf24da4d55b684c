"""A small CMSEI in float64, ragged batches for it, and the plain version's scores."""

import torch
from transformers import BertConfig, BertModel

from lib.batch import ImageBatch, TextBatch
from lib.models.cmsei.config import Config
from lib.models.cmsei.model import CMSEI
from tests.models.cmsei import plain

WIDTH, IMAGES, CAPTIONS = 16, 3, 4
SWITCHES = ("use_spatial_graph", "use_semantic_graph", "use_text_graph", "use_local_interaction",
            "use_global_interaction")  # fmt: skip


def build(direction, **settings):
    config = Config(img_dim=12, embed_size=WIDTH, direction=direction, **settings)
    torch.manual_seed(0)
    bert = BertModel(
        BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                   intermediate_size=32)
    )  # fmt: skip
    model = CMSEI(config, bert).double().eval()
    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():  # graphs that start as nothing test nothing
        if ".norm." in name and tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return model


def batches():
    """Ragged images and captions, float64."""
    generator = torch.Generator().manual_seed(2)

    def random(*shape):
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    lengths = torch.tensor([5, 2, 7])
    features = torch.randn(IMAGES, 7, 12, generator=generator, dtype=torch.float64)
    corner = random(IMAGES, 7, 2) * 20
    boxes = torch.cat([corner, corner + 15 + random(IMAGES, 7, 2) * 20], dim=-1)
    boxes[0, 3, 2:] = boxes[0, 3, :2]  # empty
    relations = (random(IMAGES, 7, 7) < 0.4).double()
    arrays = {"boxes": boxes, "relations": relations}
    images = ImageBatch(features, lengths, torch.arange(3), arrays)
    sizes = torch.tensor([4, 9, 3, 6])
    ids = torch.randint(1, 50, (CAPTIONS, 9), generator=generator)
    return images, TextBatch(ids, sizes, torch.arange(CAPTIONS))


def plain_scores(model, images, texts, direction, **settings):
    """(images, captions) by the plain version."""
    config = Config(direction=direction, **settings)
    state = dict(model.named_parameters()) | dict(model.named_buffers())
    words = model.text_encoder.tokens(texts)
    sides = [[], []]
    for i, k in enumerate(images.lengths.tolist()):
        parts = (
            images.features[i, :k],
            images.arrays["boxes"][i, :k].tolist(),
            images.arrays["relations"][i, :k, :k],
        )
        sides[0].append(plain.image(state, *parts, config))
    for i, n in enumerate(texts.lengths.tolist()):
        t = list(words[i, :n])
        sides[1].append((t, plain.sentence(state, t, config.use_text_graph)))
    rows = []
    for image in sides[0]:
        pairs = [(image, text) if direction == "i2t" else (text, image) for text in sides[1]]
        rows.append(torch.stack([plain.score(state, *pair, config) for pair in pairs]))
    return torch.stack(rows)


def scores(model, images, texts):
    return model.score(model.encode_images(images), model.encode_texts(texts))


def of(loss, model):
    gradients = torch.autograd.grad(loss, model.parameters(), allow_unused=True)
    names = (name for name, _ in model.named_parameters())
    return {name: g for name, g in zip(names, gradients, strict=True) if g is not None}
