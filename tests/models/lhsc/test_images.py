"""The image side: what it starts as."""

import torch

from lib.models.lhsc.config import Config
from lib.models.lhsc.images import GraphLayer, ImageEncoder
from tests.models.lhsc.small import REGIONS, WIDTH, batches


def test_a_graph_layer_starts_as_the_identity():
    rows = torch.randn(2, REGIONS, WIDTH)
    assert torch.equal(GraphLayer(WIDTH)(rows), rows)


def test_how_it_starts():
    torch.manual_seed(0)
    encoder = ImageEncoder(Config(img_dim=12, embed_size=WIDTH, regions=REGIONS))
    projection, layer = encoder.projection, encoder.graph[0]
    bound = (6 / (12 + WIDTH)) ** 0.5  # Xavier-uniform
    assert 0.9 * bound < projection.weight.abs().max() <= bound
    assert not projection.bias.any()
    for part in ("theta", "phi", "subject", "object", "message", "output"):  # PyTorch's own
        for value in getattr(layer, part).parameters():
            assert 0.7 * WIDTH**-0.5 < value.abs().max() <= WIDTH**-0.5
    assert not layer.norm.weight.any()
    assert not layer.norm.bias.any()


def test_regions_and_wholes_have_unit_length():
    encoder = ImageEncoder(Config(img_dim=12, embed_size=WIDTH, regions=REGIONS)).eval()
    found = encoder(batches()[0])
    torch.testing.assert_close(found.rows.norm(dim=-1), torch.ones(3, REGIONS))
    torch.testing.assert_close(found.whole.norm(dim=-1), torch.ones(3))
