"""The graphs: how they start, and the overlaps of boxes."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from lib.models.cmsei.config import Config
from lib.models.cmsei.graphs import iou
from lib.models.cmsei.model import CMSEI
from lib.training.losses import triplet_loss
from scripts.scene_graph_to_rels import overlaps
from tests.models.cmsei import plain
from tests.models.cmsei.small import IMAGES, WIDTH, batches, of, scores

GRAPHS = ("affinity", "spatial_graph", "spatial_residual", "relation_graph", "relation_residual",
          "joint_residual")  # fmt: skip


def fresh(**settings):
    """A model as training starts with it."""
    torch.manual_seed(0)
    bert = BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    return CMSEI(Config(img_dim=12, embed_size=WIDTH, **settings), BertModel(bert)).double()


def first_gradients(model):
    """The largest gradient of each parameter of the image graphs at the first step."""
    images, texts = batches()
    loss = triplet_loss(scores(model, images, texts)[:, :IMAGES], 0.2, hardest=False)
    largest = {name: g.abs().max().item() for name, g in of(loss, model).items()}
    prefixes = tuple(f"image_encoder.{name}." for name in GRAPHS)
    wanted = [name for name, _ in model.named_parameters() if name.startswith(prefixes)]
    return {name: largest.get(name, 0.0) for name in wanted}


@pytest.mark.parametrize("direction", ["i2t", "t2i"])
@pytest.mark.parametrize("nodes", ["spatial", "projected"])
def test_all_of_both_image_graphs_learns_from_the_first_step(direction, nodes):
    found = first_gradients(fresh(direction=direction, semantic_nodes=nodes))
    assert len(found) == 12
    name, smallest = min(found.items(), key=lambda item: item[1])
    print(f"{direction}, {nodes} nodes: the smallest gradient is {smallest:.0e}, of {name}")
    assert smallest > 1e-7
    # Two gates in series that start at zero let nothing of the graphs learn.
    gated = first_gradients(fresh(direction=direction, graph_norm="batch"))
    print(f"with zero-started norms: {sum(v == 0 for v in gated.values())} of {len(gated)} are 0")
    assert {name for name, value in gated.items() if value > 0} <= {
        "image_encoder.joint_residual.norm.weight",
        "image_encoder.joint_residual.norm.bias",
    }
    opened = fresh(direction=direction, graph_norm="batch", graph_norm_scale=0.5)
    assert min(v for n, v in first_gradients(opened).items() if "linear.bias" not in n) > 0


def test_norms_that_start_at_zero_make_a_graph_start_as_the_identity():
    model = fresh(graph_norm="batch")
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
