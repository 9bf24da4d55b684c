"""A ResNet's maps by Detectron2's weights, and files that are none."""

import pickle

import numpy as np
import pytest
import torch
from torchvision.models import get_model

from lib.errors import InputError
from lib.extraction.grid import load_extractor
from lib.models.common import backbone
from lib.models.common.backbone_weights import (
    from_detectron2,
    load_backbone,
    second_name,
    theirs,
    torchvision_name,
)
from tests.support import detectron2_state


def test_the_map_is_strict(published):
    network, path = published
    state = detectron2_state(network)
    odd = {"backbone.res6.0.conv1.weight": np.zeros(1, np.float32)}
    with pytest.raises(InputError, match=r"X-101\.pth: holds unexpected tensors: backbone\.res6"):
        from_detectron2(state | odd, path)
    wrong = {"backbone.stem.conv1.weight": np.zeros((64, 3, 3, 3), np.float32)}
    with pytest.raises(InputError, match=r"1 tensors of another shape: conv1\.weight"):
        from_detectron2(state | wrong, path)
    del state["backbone.res3.0.shortcut.norm.running_var"]
    with pytest.raises(InputError, match=r"missing: layer2\.0\.downsample\.1\.running_var"):
        from_detectron2(state, path)
    for name in ("backbone.res2.0.conv4.weight", "backbone.stem.fc.weight", "model.x"):
        with pytest.raises(KeyError):
            torchvision_name(name)


class Bomb:
    def __reduce__(self):
        return print, ("burst",)


def test_weights_that_are_none(tmp_path, capsys):
    with pytest.raises(InputError, match=r"X-101\.pth comes from grid-feats-vqa"):
        load_extractor(str(tmp_path / "none.pth"))
    path = tmp_path / "w.pth"
    for content in (b"<html>", pickle.dumps({"model": Bomb()})):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"file of a backbone's weights"):
            load_extractor(str(path))
    torch.save({"model": [1]}, path)
    with pytest.raises(InputError, match="it has no dict of names"):
        load_extractor(str(path))
    assert "burst" not in capsys.readouterr().out


def test_torchvision_s_own_weights(monkeypatch):
    def unavailable(name, weights=None):
        if weights is not None:
            raise OSError("no route to host\nand more")
        return get_model(name)

    monkeypatch.setattr(backbone, "get_model", unavailable)
    with pytest.raises(InputError, match=r"unavailable \(no route to host\); put the file of http"):
        load_backbone("resnet18", "imagenet")
    monkeypatch.setattr(backbone, "get_model", lambda name, weights=None: get_model(name))
    assert load_backbone("resnet18", "imagenet").channels == 512


def test_what_is_no_tensor_is_named(tmp_path):
    state = {"backbone.stem.conv1.weight": "x"}
    with pytest.raises(InputError, match=r"X\.pth: backbone\.stem\.conv1\.weight is not a tensor"):
        from_detectron2(state, tmp_path / "X.pth")


def test_a_file_of_torchvision_s_names(tmp_path):
    """As torchvision saves it, and with the second names of VSE-infinity's detector."""
    network = get_model("resnet18")
    state = network.state_dict()
    torch.save(state, tmp_path / "plain.pth")
    twice = {f"resnet.{key}": value for key, value in state.items()}
    twice |= {second_name(key): value for key, value in state.items() if "fc." not in key}
    assert {"base.0.weight", "base.6.1.bn2.bias", "top.0.0.conv1.weight"} < twice.keys()
    torch.save({"state_dict": twice, "epoch": 3}, tmp_path / "twice.pth")
    for name in ("plain", "twice"):
        path = str(tmp_path / f"{name}.pth")
        found = load_backbone("resnet18", path, "imagenet").state_dict()
        assert len(found) == len(state) - 2
        for key, value in found.items():
            assert torch.equal(value, state[theirs(key)]), key
    with pytest.raises(InputError, match=r"plain\.pth: is not of resnet50; .* tensors missing"):
        load_backbone("resnet50", str(tmp_path / "plain.pth"), "imagenet")
    with pytest.raises(InputError, match="does not tell how pixels are normalised"):
        load_backbone("resnet18", str(tmp_path / "plain.pth"))
    with pytest.raises(InputError, match="does not tell how pixels are normalised"):
        load_extractor(str(tmp_path / "plain.pth"))
    torch.save({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, path)
    halved = load_backbone("resnet18", path, "imagenet").state_dict()
    assert {v.dtype for v in halved.values()} == {torch.float32, torch.int64}
    twice["base.0.weight"] = twice["base.0.weight"] + 1
    torch.save(twice, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"base\.0\.weight differs from resnet\.conv1\.weight"):
        load_backbone("resnet18", str(tmp_path / "other.pth"), "imagenet")
