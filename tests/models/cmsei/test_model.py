"""CMSEI beside a plain version written from the paper; its chunks, its runs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from lib.checkpoint import load_checkpoint
from lib.errors import InputError
from lib.evaluation import encode
from lib.evaluation.encode import Embeddings
from lib.evaluation.evaluator import score_checkpoint
from lib.evaluation.opened import FeatureChoice, Target
from lib.evaluation.scores import SavedScores
from lib.models import family_of
from lib.released_checkpoint import save_released
from tests.models.cmsei.small import batches, build, scores
from tests.support import LARGEST, ROOT, TORCHRUN, deviations, fail, succeed

TRAIN = ("python", "train.py", "--config", "configs/scenes_cmsei.yaml")
EVAL = ("python", "eval.py", "--device", "cpu", "--checkpoint")


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


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["i2t", "t2i"])
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


@pytest.mark.slow
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
    printed = succeed(
        "python",
        "scripts/results_table.py",
        "--format",
        "markdown",
        *(f.parent for f in files),
        out.parent,
    )
    for title in ("CMSEI I-T", "CMSEI T-I", "CMSEI"):
        assert f"| {title} | region |" in printed
    checkpoint = load_checkpoint(trained / "i2t" / "model_best.pth")
    matrix = SavedScores(files[0])[:]
    assert matrix.shape == (10, 50)
    target = Target(str(world), "scenes", "test", workers=0, pair_memory_gb=1e-4)
    again = score_checkpoint(str(trained / "i2t" / "model_best.pth"), target, FeatureChoice())
    np.testing.assert_allclose(again.scores, matrix, atol=1e-6)
    assert family_of(checkpoint.config.model).title(checkpoint.config.model) == "CMSEI I-T"


def test_a_run_of_the_earlier_equations_is_refused(trained, world, tmp_path):
    raw = torch.load(trained / "i2t" / "model_best.pth", weights_only=True)
    del raw["config"]["model"]["graph_norm"]  # which it did not have
    torch.save(raw, tmp_path / "old.pth")
    error = fail(*EVAL, tmp_path / "old.pth", "--data_path", world, "--dataset", "scenes")
    assert "earlier equations of CMSEI (norms that start at zero" in error
    assert "train anew" in error


@pytest.mark.slow
def test_a_run_resumes(trained, cmsei_settings, tmp_path):
    out = tmp_path / "run"
    succeed(*TRAIN, *cmsei_settings, f"run.out={out}", "train.epochs=1")
    succeed(*TRAIN, *cmsei_settings, f"run.out={out}", "--resume")
    one, other = (load_checkpoint(run / "checkpoint.pth") for run in (out, trained / "i2t"))
    for name, value in one.model.items():
        assert torch.equal(value, other.model[name]), name


@pytest.mark.slow
def test_what_has_no_vectors_says_so(trained, world, tmp_path):
    best = trained / "i2t" / "model_best.pth"
    error = fail(*EVAL, best, "--data_path", world, "--dataset", "scenes",
                 "--save_embeddings", tmp_path / "e.safetensors")  # fmt: skip
    assert "scores pairs" in error
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="no place for CMSEI"):
        save_released(tmp_path / "r.pth", load_checkpoint(best))
