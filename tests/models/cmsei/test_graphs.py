"""The graphs: how they start, and the overlaps of boxes."""

import numpy as np
import torch
from transformers import BertConfig, BertModel

from lib.models.cmsei.config import Config
from lib.models.cmsei.graphs import iou
from lib.models.cmsei.model import CMSEI
from scripts.scene_graph_to_rels import overlaps
from tests.models.cmsei import plain
from tests.models.cmsei.small import IMAGES, WIDTH, batches


def test_a_graph_starts_as_the_identity():
    config = Config(img_dim=12, embed_size=WIDTH)
    bert = BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    model = CMSEI(config, BertModel(bert)).double()
    images, texts = batches()
    rows = model.encode_images(images).rows
    plain_rows = model.image_encoder.projection(images.features) * images.mask[..., None]
    torch.testing.assert_close(rows, plain_rows)
    words = model.text_encoder.eval().tokens(texts) * texts.mask[..., None]
    torch.testing.assert_close(model.encode_texts(texts).rows, words)


def test_overlaps_agree():
    boxes = batches()[0].arrays["boxes"]
    found = iou(boxes)
    for i in range(IMAGES):
        expected = [[plain.overlap(a, b) for b in boxes[i].tolist()] for a in boxes[i].tolist()]
        np.testing.assert_allclose(found[i], expected, atol=1e-12)
        np.testing.assert_allclose(overlaps(boxes[i].numpy(), boxes[i].numpy()), expected,
                                   atol=1e-12)  # fmt: skip
