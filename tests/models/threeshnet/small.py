"""A small 3SHNet, VSE-infinity and ablations, and ragged batches for them."""

import torch

from lib.batch import ImageBatch, TextBatch
from tests.support import small_model

LENGTHS = (4, 9, 3)


def build(**settings):
    """In evaluation mode, with norms that count."""
    torch.manual_seed(0)
    model, _ = small_model(categories=5, **settings)
    for name, tensor in model.state_dict().items():
        if "norm" in name and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    return model.eval()


def batches():
    """Ragged images, the second with one region alone, and captions."""
    generator = torch.Generator().manual_seed(2)
    arrays = {
        "semantic": torch.rand(3, 5, 7, 7, generator=generator),
        "categories": (torch.rand(3, 5, generator=generator) < 0.5).float(),
        "seg_map": torch.randint(0, 5, (3, 4, 4), generator=generator).float(),
    }
    features = torch.randn(3, 6, 8, generator=generator)
    images = ImageBatch(features, torch.tensor([6, 1, 4]), torch.arange(3), arrays)
    features *= images.mask[..., None]
    ids = torch.randint(1, 50, (3, max(LENGTHS)), generator=generator)
    return images, TextBatch(ids, torch.tensor(LENGTHS), torch.arange(3))


def scores(model, images, texts):
    return model.score(model.encode_images(images), model.encode_texts(texts))
