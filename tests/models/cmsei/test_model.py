"""CMSEI beside a plain version written from the paper; its chunks, its runs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import pad
from transformers import BertConfig, BertModel

from lib.batch import ImageBatch, TextBatch
from lib.checkpoint import load_checkpoint, save_released
from lib.errors import InputError
from lib.evaluation import encode
from lib.evaluation.encode import Embeddings
from lib.evaluation.evaluator import FeatureChoice, Target, score_checkpoint
from lib.evaluation.scores import SavedScores
from lib.models import family_of
from lib.models.cmsei.config import Config
from lib.models.cmsei.graphs import iou
from lib.models.cmsei.model import CMSEI
from scripts.scene_graph_to_rels import overlaps
from tests.models.cmsei import plain
from tests.support import LARGEST, ROOT, TORCHRUN, deviations, fail, succeed

TRAIN = ("python", "train.py", "--config", "configs/scenes_cmsei.yaml")
EVAL = ("python", "eval.py", "--device", "cpu", "--checkpoint")

WIDTH, IMAGES, CAPTIONS = 16, 3, 4
SWITCHES = ("spatial_graph", "semantic_graph", "text_graph", "local_interaction",
            "global_interaction")  # fmt: skip


def build(direction, **switches):
    config = Config(
        img_dim=12, embed_size=WIDTH, direction=direction,
        **{f"use_{name}": value for name, value in switches.items()},
    )  # fmt: skip
    torch.manual_seed(0)
    bert = BertModel(
        BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                   intermediate_size=32)
    )  # fmt: skip
    model = CMSEI(config, bert).double().eval()
    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():  # graphs that start as nothing test nothing
        if ".norm." in name and tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return model


def batches():
    """Ragged images and captions, float64."""
    generator = torch.Generator().manual_seed(2)

    def random(*shape):
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    lengths = torch.tensor([5, 2, 7])
    features = torch.randn(IMAGES, 7, 12, generator=generator, dtype=torch.float64)
    corner = random(IMAGES, 7, 2) * 20
    boxes = torch.cat([corner, corner + 15 + random(IMAGES, 7, 2) * 20], dim=-1)
    boxes[0, 3, 2:] = boxes[0, 3, :2]  # empty
    relations = (random(IMAGES, 7, 7) < 0.4).double()
    arrays = {"boxes": boxes, "relations": relations}
    images = ImageBatch(features, lengths, torch.arange(3), arrays)
    sizes = torch.tensor([4, 9, 3, 6])
    ids = torch.randint(1, 50, (CAPTIONS, 9), generator=generator)
    return images, TextBatch(ids, sizes, torch.arange(CAPTIONS))


def plain_scores(model, images, texts, direction, **on):
    """(images, captions) by the plain version."""
    state = dict(model.named_parameters()) | dict(model.named_buffers())
    on = {name: on.get(name, True) for name in SWITCHES}
    words = model.text_encoder.tokens(texts)
    sides = [[], []]
    for i, k in enumerate(images.lengths.tolist()):
        parts = (
            images.features[i, :k],
            images.arrays["boxes"][i, :k].tolist(),
            images.arrays["relations"][i, :k, :k],
        )
        sides[0].append(plain.image(state, *parts, on["spatial_graph"], on["semantic_graph"]))
    for i, n in enumerate(texts.lengths.tolist()):
        t = list(words[i, :n])
        sides[1].append((t, plain.sentence(state, t, on["text_graph"])))
    rows = []
    for image in sides[0]:
        pairs = [(image, text) if direction == "i2t" else (text, image) for text in sides[1]]
        use = (on["local_interaction"], on["global_interaction"])
        rows.append(torch.stack([plain.score(state, *pair, *use) for pair in pairs]))
    return torch.stack(rows)


def scores(model, images, texts):
    return model.score(model.encode_images(images), model.encode_texts(texts))


def of(loss, model):
    gradients = torch.autograd.grad(loss, model.parameters(), allow_unused=True)
    names = (name for name, _ in model.named_parameters())
    return {name: g for name, g in zip(names, gradients, strict=True) if g is not None}


@pytest.mark.parametrize("direction", ["i2t", "t2i"])
@pytest.mark.parametrize("off", [None, *SWITCHES])
def test_it_is_the_paper_s(direction, off):
    on = {} if off is None else {off: False}
    model = build(direction, **on)
    images, texts = batches()
    found = scores(model, images, texts)
    expected = plain_scores(model, images, texts, direction, **on)
    deviation = (found - expected).abs().max().item()
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(3)).double()
    ours, theirs = of((found * weight).sum(), model), of((expected * weight).sum(), model)
    assert ours.keys() == theirs.keys()
    gradient = max((ours[n] - g).abs().max().item() for n, g in theirs.items())
    print(f"{direction} without {off}: scores {deviation:.0e}, gradients {gradient:.0e}")
    assert deviation < 1e-6  # the score itself is float32
    assert gradient < 1e-5
    with torch.no_grad():  # in place
        assert (scores(model, images, texts) - expected).abs().max() < 1e-6
    if off is not None:
        whole = plain_scores(build(direction), images, texts, direction)
        assert (whole - expected).abs().max() > 1e-3


@pytest.mark.parametrize("direction", ["i2t", "t2i"])
@pytest.mark.parametrize("training", [False, True])
def test_the_chunk_size_changes_no_score(direction, training):
    model, (images, texts) = build(direction).float(), batches()
    images = images.map(lambda t: t.float() if t.is_floating_point() else t)
    results = []
    for memory in (2.0, 40 * WIDTH * 4e-9 * 20, 1e-9):
        model.pair_memory_gb = memory
        with torch.set_grad_enabled(training):
            found = scores(model, images, texts)
            gradients = of(found.square().sum(), model) if training else {}
        results.append((found.detach(), gradients))
    (first, expected), *others = results
    for found, gradients in others:
        torch.testing.assert_close(found, first, rtol=0, atol=1e-6)
        for name, gradient in expected.items():
            torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("direction", ["i2t", "t2i"])
def test_evaluation_scores_in_chunks_too(direction, monkeypatch):
    model, (images, texts) = build(direction).float(), batches()
    images = images.map(lambda t: t.float() if t.is_floating_point() else t)
    with torch.no_grad():
        encoded = Embeddings(model.encode_images(images), model.encode_texts(texts))
        expected = scores(model, images, texts).numpy()
    for rows, columns in ((32, 1000), (2, 3)):
        monkeypatch.setattr(encode, "PAIR_ROWS", rows)
        monkeypatch.setattr(encode, "PAIR_COLUMNS", columns)
        np.testing.assert_allclose(encoded.scores(model), expected, rtol=0, atol=1e-6)


def padded(images, width):
    """The same with rows of padding up to ``width``."""
    more = width - images.features.shape[1]
    boxes, relations = images.arrays["boxes"], images.arrays["relations"]
    arrays = {"boxes": pad(boxes, (0, 0, 0, more)), "relations": pad(relations, (0, more, 0, more))}
    return replace(images, features=pad(images.features, (0, 0, 0, more)), arrays=arrays)


def test_padding_changes_nothing():
    model, (images, texts) = build("i2t").train(), batches()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    start = {k: v.clone() for k, v in model.state_dict().items()}
    first = scores(model, images, texts)
    statistics = {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict(start)
    wider = replace(texts, ids=pad(texts.ids, (0, 5)))
    second = scores(model, padded(images, 11), wider)
    torch.testing.assert_close(first, second)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, statistics[name])


def test_a_graph_starts_as_the_identity():
    config = Config(img_dim=12, embed_size=WIDTH)
    bert = BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    model = CMSEI(config, BertModel(bert)).double()
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


@pytest.mark.parametrize("direction", ["i2t", pytest.param("t2i", marks=pytest.mark.slow)])
def test_two_processes_and_pieces_are_one(cmsei_settings, world, tmp_path, direction):
    """Two processes, micro-batches and chunks give the loss and gradients of one in one piece."""
    config = ROOT / "configs" / "scenes_cmsei.yaml"
    found = []
    for number, (command, *extra) in enumerate((
        (("python",),),
        (TORCHRUN, "train.sync_batchnorm=true"),
        (("python",), "train.micro_batch=5", "eval.pair_memory_gb=0.001"),
    )):  # fmt: skip
        out = tmp_path / f"{number}.pth"
        words = [*cmsei_settings, f"run.out={tmp_path / 'run'}", f"model.direction={direction}"]
        words += ["train.clip=1e9", "train.sum_epochs=0", *extra]
        succeed(*command, "tests/training/gradients.py", out, config, *words)
        found.append(torch.load(out, weights_only=True))
    for other in found[1:]:
        differing = deviations(other, found[0])
        # A bias before a normalisation has a gradient of rounding errors alone.
        differing = {n: d for n, d in differing.items() if not n.endswith("residual.linear.bias")}
        print(f"{direction}, largest deviation: {max(differing.values()):.1e}")
        assert max(differing.values()) < LARGEST, max(differing, key=differing.get)


@pytest.fixture(scope="module")
def trained(cmsei_settings, tmp_path_factory):
    """Both versions, two epochs by the command line."""
    folder = tmp_path_factory.mktemp("cmsei")
    for direction in ("i2t", "t2i"):
        succeed(
            *TRAIN, *cmsei_settings, f"run.out={folder / direction}", f"model.direction={direction}"
        )
    return folder


def test_runs_evaluate_and_their_mean_is_the_model(trained, world):
    for direction in ("i2t", "t2i"):
        run = trained / direction
        printed = succeed(
            *EVAL, run / "model_best.pth", "--data_path", world, "--dataset", "scenes",
            "--workers", 0, "--save_results", run / "results.safetensors",
            "--json", run / "results.json",
        )  # fmt: skip
        assert f"CMSEI {'I-T' if direction == 'i2t' else 'T-I'} region on scenes" in printed
    files = [trained / direction / "results.safetensors" for direction in ("i2t", "t2i")]
    out = trained / "both" / "results.json"
    printed = succeed("python", "eval_ensemble.py", *files, "--json", out)
    assert "ensemble of 2" in printed
    printed = succeed("python", "scripts/results_table.py", *(f.parent for f in files), out.parent)
    for title in ("CMSEI I-T", "CMSEI T-I", "CMSEI"):
        assert f"| {title} | region |" in printed
    checkpoint = load_checkpoint(trained / "i2t" / "model_best.pth")
    matrix = SavedScores(files[0])[:]
    assert matrix.shape == (10, 50)
    target = Target(str(world), "scenes", "test", workers=0, pair_memory_gb=1e-4)
    again = score_checkpoint(str(trained / "i2t" / "model_best.pth"), target, FeatureChoice())
    np.testing.assert_allclose(again.scores, matrix, atol=1e-6)
    assert family_of(checkpoint.config.model).title(checkpoint.config.model) == "CMSEI I-T"


@pytest.mark.slow
def test_a_run_resumes(trained, cmsei_settings, tmp_path):
    out = tmp_path / "run"
    succeed(*TRAIN, *cmsei_settings, f"run.out={out}", "train.epochs=1")
    succeed(*TRAIN, *cmsei_settings, f"run.out={out}", "--resume")
    one, other = (load_checkpoint(run / "checkpoint.pth") for run in (out, trained / "i2t"))
    for name, value in one.model.items():
        assert torch.equal(value, other.model[name]), name


def test_what_has_no_vectors_says_so(trained, world, tmp_path):
    best = trained / "i2t" / "model_best.pth"
    error = fail(*EVAL, best, "--data_path", world, "--dataset", "scenes",
                 "--save_embeddings", tmp_path / "e.safetensors")  # fmt: skip
    assert "scores pairs" in error
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="no place for CMSEI"):
        save_released(tmp_path / "r.pth", load_checkpoint(best))
