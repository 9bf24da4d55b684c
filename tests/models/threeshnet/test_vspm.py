"""VSpM's fast form is the plain computation, in evaluation and in training, gradients included."""

import pytest
import torch
from torch.nn.functional import batch_norm, conv2d

from lib.models.threeshnet.vspm import VSpM

SIZE, SIDE, IMAGES, REGIONS = 32, 8, 5, 4  # more images than a chunk takes on a CPU


def plain(part, projected, mask, seg_map):
    """conv3x3, batch_norm, relu; softmax(4 q . keys / sqrt(128)) @ keys."""
    code = part.position_code.expand(len(seg_map), -1, -1, -1)
    inputs = torch.cat([seg_map[:, None], code], dim=1)
    convolved = conv2d(inputs, part.key_conv.weight, part.key_conv.bias, padding=1)
    norm = part.key_norm
    statistics = (norm.running_mean.clone(), norm.running_var.clone())
    normal = batch_norm(convolved, *statistics, norm.weight, norm.bias, norm.training)
    keys = normal.relu().flatten(2).transpose(1, 2)  # (B, map_size^2, 128)
    query = part.query(projected)
    weights = (4 * query @ keys.transpose(1, 2) / 128**0.5).softmax(dim=-1)
    return part.output(query + weights @ keys * mask[..., None]), statistics


def build(training):
    torch.manual_seed(3)
    part = VSpM(SIZE, SIDE)
    with torch.no_grad():
        part.key_norm.running_mean.normal_()
        part.key_norm.running_var.uniform_(0.5, 40)
        part.key_norm.weight.uniform_(0.5, 1.5)
        part.key_norm.bias.normal_()
    return part.train(training)


@pytest.mark.parametrize("training", [False, True])
def test_the_fast_form_is_the_plain_one(training):
    generator = torch.Generator().manual_seed(1)
    projected = torch.randn(IMAGES, REGIONS, SIZE, generator=generator, requires_grad=True)
    mask = torch.arange(REGIONS) < torch.tensor([4, 1, 3, 4, 2])[:, None]
    seg_map = torch.randint(0, 133, (IMAGES, SIDE, SIDE), generator=generator).float()
    target = torch.randn(IMAGES, REGIONS, SIZE, generator=generator)
    found = {}
    for name in ("fast", "plain"):
        part = build(training)
        if name == "fast":
            output = part(projected, mask, seg_map)
            statistics = (part.key_norm.running_mean, part.key_norm.running_var)
        else:
            output, statistics = plain(part, projected, mask, seg_map)
        parameters = dict(part.named_parameters())
        loss = (output * target * mask[..., None]).sum()
        gradients = torch.autograd.grad(loss, [projected, *parameters.values()])
        found[name] = output, statistics, dict(zip(["input", *parameters], gradients, strict=True))
    (output, statistics, gradients), (expected, plain_statistics, plain_gradients) = (
        found[name] for name in ("fast", "plain")
    )
    torch.testing.assert_close(output, expected, rtol=0, atol=2e-5 * expected.abs().max().item())
    for one, other in zip(statistics, plain_statistics, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    largest = max(gradient.norm().item() for gradient in plain_gradients.values())
    for name, gradient in plain_gradients.items():
        # A bias before a normalisation has a gradient of rounding errors alone.
        allowed = 1e-3 * max(gradient.norm().item(), 1e-3 * largest)
        assert (gradients[name] - gradient).norm().item() <= allowed, name


def test_the_attention_that_is_shown_is_what_is_computed():
    part = build(training=False)
    generator = torch.Generator().manual_seed(1)
    projected = torch.randn(2, REGIONS, SIZE, generator=generator)
    mask = torch.arange(REGIONS) < torch.tensor([4, 2])[:, None]
    seg_map = torch.randint(0, 133, (2, SIDE, SIDE), generator=generator).float()
    with torch.no_grad():
        weights = part.attention(projected, mask, seg_map)
        code = part.position_code.expand(2, -1, -1, -1)
        keys = (
            part.key_norm(
                part.key_conv(torch.cat([seg_map[:, None], code], dim=1))
                .flatten(2)
                .transpose(1, 2)
                .flatten(0, 1)
            )
            .relu()
            .view(2, SIDE * SIDE, -1)
        )
        output = part.output(part.query(projected) + weights.flatten(2) @ keys)
        expected = part(projected, mask, seg_map)
    torch.testing.assert_close(output[mask], expected[mask], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weights.sum(dim=(2, 3)), mask.float())
