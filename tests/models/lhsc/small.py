"""A small LHSC, batches for it, and the plain version's scores."""

import torch

from lib.batch import ImageBatch, TextBatch
from lib.models.lhsc.config import Config
from lib.models.lhsc.model import LHSC
from tests.models.lhsc import plain

WIDTH, REGIONS, IMAGES, VOCABULARY = 16, 5, 3, 40
LENGTHS = (4, 9, 3, 6)
ABLATIONS = (
    {}, {"graph_layers": 1}, {"graph_layers": 3}, {"use_word_attention": False},
    {"use_global": False}, {"use_filter": False}, {"padding": "released"},
    {"use_global": False, "use_filter": False},
)  # fmt: skip


def build(**switches):
    """In evaluation mode, without dropout, and with norms that count."""
    config = Config(
        img_dim=12, embed_size=WIDTH, word_dim=10, sim_dim=8, regions=REGIONS, dropout=0.0,
        **switches,
    )  # fmt: skip
    torch.manual_seed(0)
    model = LHSC(config, VOCABULARY).eval()
    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():
        if "norm" in name and tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        elif not name.startswith("image_encoder.graph") and tensor.is_floating_point():
            tensor.copy_(tensor * 2 + 0.1 * torch.randn(tensor.shape, generator=generator))
    return model


def batches():
    """Images, and captions of several lengths in no order."""
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(IMAGES, REGIONS, 12, generator=generator)
    ids = torch.randint(1, VOCABULARY, (len(LENGTHS), max(LENGTHS)), generator=generator)
    texts = TextBatch(ids, torch.tensor(LENGTHS), torch.arange(len(LENGTHS)))
    texts = TextBatch(ids * texts.mask, texts.lengths, texts.indices)
    count = torch.full((IMAGES,), REGIONS)
    return ImageBatch(features, count, torch.arange(IMAGES)), texts


def scores(model, images, texts):
    return model.score(model.encode_images(images), model.encode_texts(texts))


def plain_scores(model, images, texts, running=None, **on):
    """The plain version's, and its parameters."""
    state = {k: v.detach().double().requires_grad_() for k, v in model.named_parameters()}
    buffers = {name: value.double() for name, value in model.named_buffers()}
    ids = [row[:n].tolist() for row, n in zip(texts.ids, texts.lengths.tolist(), strict=True)]
    about = (state | buffers, images.features.double(), ids, model.training, running)
    return plain.scores(*about, **on), state
