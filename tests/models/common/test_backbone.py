"""Caffe's layout of a ResNet, and what becomes of pixels."""

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, max_pool2d

from lib.models.common.backbone import Backbone, build_network, normalisation_of


def test_caffe_strides_in_the_first_convolution_and_pools_without_padding():
    torch.manual_seed(0)
    network = build_network("resnet50_caffe").eval()
    images = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        stem = Backbone(network).stem(images)
        before = network.relu(network.bn1(network.conv1(images)))
        block = network.layer2[0]
        found = block.conv1(network.layer1(stem))
        expected = conv2d(network.layer1(stem), block.conv1.weight, stride=2)
        whole = Backbone(network)(images)
    torch.testing.assert_close(stem, max_pool2d(before, 3, 2, 0, ceil_mode=True))
    torch.testing.assert_close(found, expected)
    assert block.conv2.stride == (1, 1)
    assert whole.shape == (1, 2048, 3, 2)
    assert Backbone(build_network("resnet50")).stages[1][0].conv2.stride == (2, 2)


DETECTRON2_STD = [57.375, 57.12, 58.395]


def imagenet(rgb):
    return (rgb / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]


@pytest.mark.parametrize(
    ("weights", "pixels", "expected"),
    [
        ("imagenet", None, imagenet),
        ("x.pth", "imagenet", imagenet),
        ("x.pth", "caffe", lambda rgb: rgb[::-1] - [102.9801, 115.9465, 122.7717]),
        ("x.pth", None, lambda rgb: (rgb[::-1] - [103.53, 116.28, 123.675]) / DETECTRON2_STD),
    ],
)  # fmt: skip
def test_pixels_are_normalised_as_the_weights_want(weights, pixels, expected):
    rgb = np.array([10, 100, 250], np.uint8)
    given = torch.from_numpy(rgb)[:, None, None].expand(3, 2, 2)
    found = normalisation_of(weights, pixels).normalise(given)[:, 0, 0]
    np.testing.assert_allclose(found, expected(rgb.astype(float)), rtol=1e-5)
