"""VSE-infinity's released grid checkpoints: what the public code computed with them, both ways."""

import argparse
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from lib.batch import PixelBatch
from lib.checkpoint import load_checkpoint, save_checkpoint
from lib.data.images import bilinear
from lib.errors import InputError
from lib.models import family_of
from lib.models.threeshnet.config import Config
from lib.models.threeshnet.released_grid import features_of
from lib.released_checkpoint import save_released
from tests.models.threeshnet.grid_release import RECORDED, golden_picture, model_of, released
from tests.models.threeshnet.test_released import same_states
from tests.support import SMALL_BERT, bert_config, succeed


@pytest.mark.parametrize(
    "source", ["detector", pytest.param("wsl", marks=pytest.mark.slow), "imagenet_res50"]
)
def test_cells_and_embeddings_are_the_recorded_ones(tmp_path, source):
    torch.save(released(source), tmp_path / "m.pth")
    config, model = model_of(tmp_path / "m.pth")
    title = {"detector": "VSE-infinity BUTD", "wsl": "VSE-infinity WSL"}
    assert family_of(config.model).title(config.model) == title.get(source, "VSE-infinity")
    features = config.features
    assert (features.type, features.image_size, features.grid_size) == ("images", 512, None)
    batch = golden_picture(source)
    with torch.no_grad():
        cells = model.cells(batch).features[0]
        embedding = model.encode_images(batch)[0]
    expected = RECORDED[f"{source}/cells"]
    deviation = np.abs(cells[::7, ::64].numpy() - expected).max() / np.abs(expected).max()
    off = np.abs(embedding.numpy() - RECORDED[f"{source}/embedding"]).max()
    print(f"{source}: cells {deviation:.0e} of the largest, embedding {off:.0e}")
    assert deviation < 2e-5
    assert off < 1e-5


@pytest.mark.parametrize("prefix", ["module.", pytest.param("", marks=pytest.mark.slow)])
def test_there_and_back(tmp_path, prefix):
    raw = released("imagenet_res50", prefix, data_name="f30k_precomp")
    torch.save(raw, tmp_path / "m.pth")
    checkpoint = load_checkpoint(tmp_path / "m.pth")
    assert checkpoint.config.data.dataset == "f30k"
    assert checkpoint.config.features.drop_scheme == "vse_infinity"
    save_checkpoint(tmp_path / "ours.pth", checkpoint)
    save_released(tmp_path / "back.pth", load_checkpoint(tmp_path / "ours.pth"))
    with torch.serialization.safe_globals([argparse.Namespace]):
        again = torch.load(tmp_path / "back.pth", weights_only=True)
    with_prefix = [
        {f"module.{k.removeprefix('module.')}": v for k, v in side.items()} for side in raw["model"]
    ]
    same_states(with_prefix, again["model"])
    assert again["opt"] == raw["opt"]
    # As a run of ours: without what the release's file says of itself.
    ours = load_checkpoint(tmp_path / "ours.pth")
    ours.released = None
    save_released(tmp_path / "own.pth", ours)
    own = load_checkpoint(tmp_path / "own.pth")
    assert own.config.model == checkpoint.config.model
    assert own.config.features == checkpoint.config.features
    for key, tensor in checkpoint.model.items():
        assert torch.equal(own.model[key], tensor), key


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone.resnet.layer3.1.bn2.bias": None}, "lacks backbone.resnet.layer3.1.bn2.bias"),
        ({"backbone.base.6.1.bn2.bias": None}, "lacks backbone.base.6.1.bn2.bias"),
        ({"backbone.resnet.fc.bias": None}, "resnet.fc.bias has the shape None, expected"),
        ({"backbone.resnet.fc.weight": torch.zeros(3)}, r"fc.weight has the shape \(3,\), expec"),
        ({"backbone.top.0.0.conv1.weight": torch.zeros(512, 1024, 1, 1)}, "differs from resnet.la"),
        ({"backbone.resnet.layer5.x": torch.zeros(1), "backbone.layer5.x": torch.zeros(1)},
         "1 tensors unexpected: backbone.resnet.layer5.x"),
        ({"image_encoder.gpool.linear.weight": None}, "missing: image_encoder.gpool.linear.weight"),
        ({"image_encoder.mlp.layers.0.bias": torch.zeros(1)}, "unexpected: image_encoder.mlp"),
    ],
)  # fmt: skip
def test_what_is_not_whole_is_refused(monkeypatch, change, message):
    raw = released("imagenet_res50", "")
    for key, tensor in change.items():
        raw["model"][0].pop(key, None)
        if tensor is not None:
            raw["model"][0][key] = tensor
    monkeypatch.setattr("lib.checkpoint.read_torch", lambda *_: raw)  # a file takes seconds
    with pytest.raises(InputError, match=message):
        load_checkpoint("m.pth")


@pytest.mark.parametrize("factor", [float("inf"), float("nan"), -1.0, 0])
def test_sizes_that_no_picture_has(factor):
    with pytest.raises(ValueError, match="its options have the input_scale_factor"):
        features_of({"input_scale_factor": factor})


def test_a_title_names_the_weights_that_were_trained_on():
    def title(**settings):
        config = Config(segmentation=False, residual=False, **settings)
        return family_of(config).title(config)

    butd = {"backbone": "resnet101_caffe", "backbone_pixels": "caffe"}
    path = "weights/original_updown_backbone.pth"
    assert title(**butd, backbone_weights=path) == "VSE-infinity BUTD"
    assert title(**butd, backbone_weights="random") == "VSE-infinity"
    wsl = {"backbone": "resnext101_32x8d", "backbone_pixels": "imagenet"}
    assert title(**wsl, backbone_weights="ig_resnext101_32x8-c38310e5.pth") == "VSE-infinity WSL"
    assert title(**wsl, backbone_weights="mine.pth") == "VSE-infinity"


def test_options_that_name_no_backbone(monkeypatch):
    raw = released("imagenet_res50", backbone_source="vgg")
    monkeypatch.setattr("lib.checkpoint.read_torch", lambda *_: raw)
    with pytest.raises(InputError, match="name the backbone 'vgg', expected one of detector, im"):
        load_checkpoint("m.pth")


@pytest.mark.slow
def test_a_released_file_is_scored_from_pictures(tmp_path):
    """As its authors have Flickr30K: ids are numbers, and id_mapping.json tells the pictures."""
    data, photographs = tmp_path / "f30k_precomp", tmp_path / "flickr30k-images"
    data.mkdir()
    photographs.mkdir()
    names = {str(number): f"{1000092795 + number}.jpg" for number in range(4)}
    generator = np.random.default_rng(0)
    for name in names.values():
        noise = generator.integers(0, 256, (37, 50, 3)).astype(np.uint8)
        Image.fromarray(noise).save(photographs / name)
    (tmp_path / "id_mapping.json").write_text(json.dumps(names))
    (data / "test_ids.txt").write_text("".join(f"{number}\n" for number in (2, 0, 3, 1)))
    (data / "test_caps.txt").write_text("".join(f"a dog {i}\n" for i in range(20)))
    bert = tmp_path / "bert"
    bert_config(**SMALL_BERT).save_pretrained(bert)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog"]
    (bert / "vocab.txt").write_text("\n".join([*words, *map(str, range(193))]) + "\n")
    torch.save(released("imagenet_res50", data_name="f30k_precomp"), tmp_path / "model_best.pth")
    printed = succeed(
        "python", "eval.py", "--checkpoint", tmp_path / "model_best.pth", "--images", photographs,
        "--dataset", "f30k", "--data_path", tmp_path, "--bert", bert, "--device", "cpu",
        "--workers", 0, "--save_embeddings", tmp_path / "e.safetensors",
    )  # fmt: skip
    assert "VSE-infinity images on f30k, 4 images" in printed
    mapping = tmp_path / "id_mapping.json"
    assert f"4 pictures, read at 512 x 512 pixels, 16 x 16 cells, by {mapping}" in printed
    found = load_file(tmp_path / "e.safetensors")["images"]
    _, model = model_of(tmp_path / "model_best.pth")
    first = bilinear(np.asarray(Image.open(photographs / names["2"])), 512)
    cells = torch.ones(1, 16, 16, dtype=torch.bool)
    with torch.no_grad():
        pixels = PixelBatch(torch.from_numpy(first)[None], cells, torch.arange(1))
        expected = model.encode_images(pixels)[0]
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
