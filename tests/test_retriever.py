"""A model in a Python program gives what eval.py gives."""

import numpy as np
import pytest
import torch
from PIL import Image

import eval as eval_script
from lib.config import load_config
from lib.data.captions import read_captions
from lib.errors import InputError
from lib.evaluation.scores import SavedScores, read_embeddings
from lib.retriever import load
from tests.support import ROOT, fit

PIXELS = ["model.backbone=resnet18", "model.backbone_weights=random", "features.image_size=64"]
PIXELS += ["features.grid_size=null", "model.img_dim=512"]


@pytest.fixture(scope="module")
def scored(settings, lhsc_settings, cmsei_settings, tmp_path_factory):
    """A function: trains one epoch of a kind, scores it with eval.py, gives the run's folder."""
    own = {"lhsc": lhsc_settings, "cmsei": cmsei_settings}

    def make(kind):
        run = tmp_path_factory.mktemp("retriever") / kind
        words = [*own.get(kind, settings), "train.epochs=1", f"run.out={run}"]
        if kind == "vse_infinity_grid":
            words += PIXELS
        fit(load_config(ROOT / "configs" / f"scenes_{kind}.yaml", words))
        saved = ["--save_results", f"{run}/results.safetensors"]
        if kind not in own:
            saved += ["--save_embeddings", f"{run}/embeddings.safetensors"]
        eval_script.main(["--checkpoint", str(run), "--device", "cpu", "--workers", "0", *saved])
        return run

    return make


def images_of(model, world, kind):
    """The test pictures as a program would give them, some as arrays and some as files."""
    folder = world / "scenes_precomp"
    ids = (folder / "test_ids.txt").read_text().split()
    arrays = {
        name: np.load(folder / f"test_{name}.npy") for name in model.needs if name != "features"
    }
    regions = np.load(folder / "test_ims.npy")
    for i, image_id in enumerate(ids):
        if kind == "grid":
            features = folder / "grids" / f"{image_id}.npy"
        elif kind == "vse_infinity_grid":
            features = folder / "images" / f"{image_id}.png"
            if i % 3:
                features = Image.open(features)
                features = np.asarray(features.convert("RGB")) if i % 3 == 1 else features
        else:
            features = regions[i]
        own = {name: array[i] for name, array in arrays.items()}
        yield {"features": features, **own} if own or i % 2 else features


@pytest.mark.parametrize("kind", ["region", "grid", "vse_infinity_grid", "lhsc", "cmsei"])
def test_scores_are_those_of_evaluation(kind, scored, world):
    run = scored(kind)
    model = load(run, device="cpu")
    images = model.encode_images(list(images_of(model, world, kind)), batch_size=4)
    texts = model.encode_texts(read_captions(world / "scenes_precomp" / "test_caps.txt"))
    expected = SavedScores(run / "results.safetensors")[:]
    np.testing.assert_allclose(model.score(images, texts), expected, atol=2e-6)
    if kind not in ("lhsc", "cmsei"):  # these score pairs, and have no vectors
        saved = read_embeddings(run / "embeddings.safetensors")
        for found, vectors in zip((images, texts), saved, strict=False):
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, vectors, atol=2e-6)
        np.testing.assert_allclose(images @ texts.T, expected, atol=2e-6)


def test_what_does_not_suit_is_told(scored, world, tmp_path):
    model = load(scored("region") / "model_best.pth", device="cpu")
    assert model.title == "3SHNet region"
    assert model.needs == ["features", "segmentations", "cat_onehots", "seg_maps"]
    image = next(iter(images_of(model, world, "region")))
    wrong = {
        "lacks segmentations": image["features"],
        "has boxes, which is not read": image | {"boxes": np.zeros(4)},
        "no such file": image | {"features": tmp_path / "none.npy"},
        "expected \\(K, C\\) with C = 32": image | {"features": np.zeros((6, 33))},
        "features: holds NaN": image | {"features": np.full((6, 32), np.nan)},
        "seg_maps: has shape \\(3,\\), expected": image | {"seg_maps": np.zeros(3)},
        "segmentations: holds NaN": image | {"segmentations": image["segmentations"] + np.inf},
        "seg_maps: holds the label": image | {"seg_maps": image["seg_maps"] + 0.5},
        "is object, expected numbers": image | {"features": np.array([{}])},
    }
    for message, given in wrong.items():
        with pytest.raises(InputError, match=f"image 1.*{message}|{message}"):
            model.encode_images([image, given])
    for texts in ([], ["a dog", " "], ["a dog", None], ["a dog", "\udce9"], np.zeros(0)):
        with pytest.raises(InputError, match="sentence"):
            model.encode_texts(texts)
    for encode, what in ((model.encode_images, image), (model.encode_texts, "a dog")):
        with pytest.raises(InputError, match="batch_size is 0"):
            encode([what], batch_size=0)
    with pytest.raises(InputError, match="is no array"):
        model.encode_images([image | {"features": [[1.0], [1.0, 2.0]]}])
    tensor = torch.from_numpy(np.array(image["features"], np.float32)).bfloat16()
    one, other = (model.encode_images([image | {"features": f}]) for f in (tensor, tensor.float()))
    assert np.array_equal(one, other)
    text = model.encode_texts(np.array(["a dog"]))
    assert model.score(one.astype(np.float64), text).shape == (1, 1)
    with pytest.raises(InputError, match=r"shape \(32,\), expected \(n, D\)"):
        model.score(one[0], text[0])
    with pytest.raises(InputError, match="device is 'tpu'"):
        load("anything", device="tpu")
    for one in (image, "1.npy"):
        with pytest.raises(InputError, match="a list of images, not one"):
            model.encode_images(one)
    with pytest.raises(InputError, match="a list of sentences, not one"):
        model.encode_texts("a dog")
    assert repr(model) == "<3SHNet region on cpu>"
    with pytest.raises(InputError, match="no image"):
        model.encode_images([])
    with pytest.raises(InputError, match="no such checkpoint"):
        load(tmp_path / "none")
    with pytest.raises(InputError, match="was trained on region features"):
        load(model_path := scored("region"), features="grid")
        assert model_path
