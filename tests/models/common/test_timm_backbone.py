"""Backbones of timm: maps of convolutional networks and of transformers, weights, refusals."""

import subprocess
import sys

import pytest
import timm
import torch
from safetensors.torch import save_file

from lib.errors import InputError
from lib.models.common.timm_backbone import TimmBackbone, build_timm, load_timm
from tests.support import ROOT

# Name, channels, and the side of its map at its own size: convolutions, tokens with one more.
NETWORKS = [("test_efficientnet", 256, 5), ("test_vit", 64, 10), ("test_resnet", 96, 5)]


@pytest.mark.parametrize(("name", "channels", "side"), NETWORKS)
def test_maps(name, channels, side):
    torch.manual_seed(0)
    backbone = build_timm(name)
    assert backbone.map_shape(160) == (channels, side, side)
    assert (backbone.channels, backbone.size) == (channels, 160)
    normalisation = backbone.normalisation()
    about = timm.get_pretrained_cfg(name)
    assert normalisation.mean == about.mean
    assert normalisation.std == about.std
    pixels = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    expected = -torch.tensor(about.mean) / torch.tensor(about.std)
    torch.testing.assert_close(normalisation.normalise(pixels)[0, :, 0, 0], expected)


def test_patch_tokens_lie_where_the_patches_are():
    """A patch changed in the upper right changes the cell in the upper right most."""
    torch.manual_seed(0)
    backbone = build_timm("test_vit")
    pixels = torch.randn(1, 3, 160, 160)
    changed = pixels.clone()
    changed[..., :16, -16:] += 3
    with torch.inference_mode():
        difference = (backbone(changed) - backbone(pixels)).abs().sum(dim=1)[0]
    assert difference.argmax() == 9  # of rows of 10


def test_a_transformer_takes_other_sizes():
    assert build_timm("test_vit").map_shape(96)[1:] == (6, 6)
    with pytest.raises(InputError, match=r"does not take pictures of 90 x 90 pixels"):
        build_timm("test_vit").map_shape(90)


def test_maps_with_channels_last():
    """Swin's are (B, H, W, C)."""
    torch.manual_seed(0)
    network = timm.create_model(
        "swin_tiny_patch4_window7_224", num_classes=0, embed_dim=12, depths=(1, 1, 1, 1)
    ).eval()
    backbone = TimmBackbone("swin", network)
    assert backbone.map_shape(224) == (96, 7, 7)
    pixels = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        mean = network.forward_features(pixels).mean(dim=(1, 2))
        torch.testing.assert_close(backbone(pixels).mean(dim=(2, 3)), mean)
    with pytest.raises(InputError, match=r"timm:swin: does not take pictures of 100 x 100 pixels"):
        backbone.map_shape(100)


@pytest.mark.parametrize("kind", ["pth", "safetensors", "under a name"])
def test_weights_of_a_file(tmp_path, kind):
    torch.manual_seed(1)
    whole = timm.create_model("test_resnet", num_classes=10)  # with a classifier
    state = {f"module.{key}": value for key, value in whole.state_dict().items()}
    if kind == "safetensors":
        path = tmp_path / "w.safetensors"
        save_file(state, path)
    else:
        path = tmp_path / "w.pth"
        torch.save(state if kind == "pth" else {"state_dict": state}, path)
    found = load_timm("test_resnet", str(path)).network.state_dict()
    expected = whole.state_dict()
    assert found.keys() == {key for key in expected if not key.startswith("fc.")}
    assert all(torch.equal(value, expected[key]) for key, value in found.items())
    with pytest.raises(InputError, match=r"is not of timm:test_vit; \d+ tensors missing"):
        load_timm("test_vit", str(path))


def test_what_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"knows no such model; did you mean timm:test_vit"):
        build_timm("test_vitt")
    with pytest.raises(InputError, match="no such file of a backbone's weights"):
        load_timm("test_vit", str(tmp_path / "none.pth"))
    (tmp_path / "w.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match="cannot be read as a file of a backbone's weights"):
        load_timm("test_vit", str(tmp_path / "w.safetensors"))
    torch.save([1], tmp_path / "w.pth")
    with pytest.raises(InputError, match="it has no dict of names under model"):
        load_timm("test_vit", str(tmp_path / "w.pth"))
    with pytest.raises(InputError, match=r"gives no map that could be a grid"):
        build_timm("test_mlp_mixer" if timm.is_model("test_mlp_mixer") else "mixer_s32_224")


def test_the_hub_out_of_reach(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    code = (
        "from lib.errors import exit_on_error\n"
        "from lib.models.common.timm_backbone import load_timm\n"
        "with exit_on_error(): load_timm('test_vit', 'imagenet')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: timm:test_vit: is unavailable (")
    assert "pass a file of its weights (--weights FILE" in done.stderr


def test_timm_is_an_extra():
    code = (
        "import sys; sys.modules['timm'] = None\n"
        "from lib.errors import exit_on_error\n"
        "from lib.extraction.grid import load_extractor\n"
        "with exit_on_error(): load_extractor('random', 'timm:test_vit')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "needs timm, which is not installed" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "side"), [("vit_base_patch16_siglip_224", 14), ("vit_base_patch32_clip_224", 7)]
)
def test_patch_tokens_of_models_of_pictures_and_sentences(name, side):
    """Their picture towers give grids, without the token that stands for the whole."""
    backbone = build_timm(name)
    assert backbone.map_shape(224) == (768, side, side)
    pixels = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        found = backbone(pixels)
        tokens = backbone.network.forward_features(pixels)
    assert torch.equal(found.flatten(2).transpose(1, 2), tokens[:, -(side**2) :])
