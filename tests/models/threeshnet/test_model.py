"""The encoders against outputs recorded from the public release, and what padding may not do."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lib.batch import TextBatch, row_mask
from lib.models.threeshnet.released import Layout
from lib.training.losses import triplet_loss
from tests.golden import fill
from tests.support import GOLDEN, VSE_INFINITY, golden_images, golden_model

IMAGES = np.load(GOLDEN / "image_encoder.npz")
TEXTS = np.load(GOLDEN / "text_encoder.npz")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return golden_model(tmp_path_factory.mktemp("golden") / "model_best.pth")


def encode(model, case, lengths):
    with torch.inference_mode():
        return model.encode_images(golden_images(case, lengths)).numpy()


def close(found, expected, tolerance):
    deviation = np.abs(found - expected).max()
    print(f"largest deviation {deviation:.1e}, allowed {tolerance:.1e}")
    assert deviation <= tolerance


def relative(expected):
    return 2e-5 * np.abs(expected).max()


@pytest.mark.parametrize("case", ["equal", "ragged", "grid", "grid_large"])
def test_image_embeddings(model, case):
    found = encode(model, case, IMAGES[f"{case}/lengths"])
    close(found, IMAGES[f"{case}/embeddings"], 1e-5)


def test_unnormalised_image_embeddings(tmp_path):
    model = golden_model(tmp_path / "m.pth", no_imgnorm=True)
    expected = IMAGES["ragged_unnormalised/embeddings"]
    close(encode(model, "ragged", IMAGES["ragged/lengths"]), expected, relative(expected))


def test_vse_infinity_is_the_model_without_segmentation(tmp_path):
    model = golden_model(tmp_path / "m.pth", image_parts=VSE_INFINITY)
    found = encode(model, "ragged", IMAGES["vse_infinity/lengths"])
    close(found, IMAGES["vse_infinity/embeddings"], 1e-5)


def test_branches(model):
    batch = golden_images("ragged", IMAGES["ragged/lengths"])
    with torch.inference_mode():
        _, semantic, spatial = model.image_encoder.branches(batch)
    real = batch.mask.numpy()
    for found, name in ((semantic, "semantic_branch"), (spatial, "spatial_branch")):
        expected = IMAGES[f"ragged/{name}"][real]
        close(found[..., ::64].numpy()[real], expected, relative(expected))


def test_pooling(model):
    rows = torch.from_numpy(fill.unit_rows("pool/features", (3, 20, 64)))
    lengths = torch.from_numpy(IMAGES["pool/lengths"]).long()
    pooling = model.image_encoder.pooling
    with torch.inference_mode():
        close(pooling(rows, row_mask(lengths, 20)).numpy(), IMAGES["pool/pooled"], 1e-5)
        close(pooling.weights(lengths, 20).numpy(), IMAGES["pool/weights"], 1e-5)


def test_caption_embeddings(model, tmp_path):
    lengths = TEXTS["captions/lengths"]
    ids = torch.from_numpy(fill.captions("captions", lengths))
    batch = TextBatch(ids, torch.from_numpy(lengths), torch.arange(len(lengths)))
    unnormalised = golden_model(tmp_path / "m.pth", no_txtnorm=True)
    with torch.inference_mode():
        close(model.encode_texts(batch).numpy(), TEXTS["captions/embeddings"], 1e-5)
        expected = TEXTS["captions_unnormalised/embeddings"]
        close(unnormalised.encode_texts(batch).numpy(), expected, relative(expected))


def test_training_mode(tmp_path):
    """Embeddings, loss, every gradient norm and the running statistics after one forward."""
    model = golden_model(tmp_path / "m.pth").train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    encoder = model.image_encoder
    images = model.encode_images(golden_images("train", IMAGES["train/lengths"]))
    texts = torch.from_numpy(fill.unit_rows("train/text", (6, 1024)))
    loss = triplet_loss(model.score(images, texts), margin=0.2, hardest=True)
    loss.backward()
    close(images.detach().numpy(), IMAGES["train/embeddings"], 1e-5)
    close(loss.item(), IMAGES["train/loss"], 1e-4 * IMAGES["train/loss"])
    norms = {
        Layout().released_name(f"image_encoder.{name}"): parameter.grad.norm().item()
        for name, parameter in encoder.named_parameters()
    }
    recorded = {key[16:]: IMAGES[key] for key in IMAGES if key.startswith("train/grad_norm/")}
    assert norms.keys() == recorded.keys()
    worst = 0.0
    for name, expected in recorded.items():
        if expected < 1e-4:  # rounding noise of biases in front of a normalisation
            assert norms[name] < 1e-4, name
            continue
        worst = max(worst, deviation := abs(norms[name] - expected) / expected)
        assert deviation < 2e-3, name
    print(f"largest relative deviation of a gradient norm {worst:.1e}")
    buffers = {Layout().released_name(f"image_encoder.{n}"): b for n, b in encoder.named_buffers()}
    checked = 0
    for key in IMAGES:
        name = key.removeprefix("train/running/")
        if key.startswith("train/running/") and ".bns.1." not in name:  # of a norm never used
            close(buffers[name].numpy(), IMAGES[key], relative(IMAGES[key]))
            checked += 1
    assert checked == 16


@pytest.mark.parametrize("parts", [None, VSE_INFINITY], ids=["3SHNet", "VSE-infinity"])
def test_padding_never_changes_an_image(tmp_path, parts):
    model = golden_model(tmp_path / "m.pth", image_parts=parts)
    lengths = [36, 10, 1, 25]
    batch = golden_images("ragged", lengths)
    with torch.inference_mode():
        together = model.encode_images(batch)
        for i, length in enumerate(lengths):
            one = batch[i : i + 1]
            alone = replace(one, features=one.features[:, :length])
            torch.testing.assert_close(
                model.encode_images(alone)[0], together[i], atol=2e-6, rtol=0
            )


def test_padding_never_changes_a_caption(model):
    lengths = [12, 5, 2, 20]
    ids = torch.from_numpy(fill.captions("captions", lengths))
    with torch.inference_mode():
        together = model.encode_texts(TextBatch(ids, torch.tensor(lengths), torch.arange(4)))
        for i, length in enumerate(lengths):
            batch = TextBatch(ids[i : i + 1, :length], torch.tensor([length]), torch.tensor([i]))
            torch.testing.assert_close(model.encode_texts(batch)[0], together[i], atol=2e-6, rtol=0)
