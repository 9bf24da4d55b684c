"""Two stages: the candidates of a model with vectors, scored by one that scores pairs."""

import numpy as np
import pytest

import eval as eval_script
from lib.config import load_config
from lib.evaluation.evaluator import Shortlist, score_checkpoint
from lib.evaluation.metrics import retrieval_metrics
from lib.evaluation.opened import FeatureChoice, Target
from lib.evaluation.products import matrix_of
from lib.evaluation.records import read_record
from lib.evaluation.shortlist import candidates
from tests.support import ROOT, TORCHRUN, fit, succeed


def test_candidates_are_the_best_of_every_query():
    first = np.random.default_rng(0).standard_normal((6, 30)).astype(np.float32)
    for count in (1, 3, 6, 40):
        chosen = candidates(first, count)
        expected = np.zeros_like(chosen)
        for image in range(6):
            expected[image, np.argsort(-first[image])[:count]] = True
        for caption in range(30):
            expected[np.argsort(-first[:, caption])[:count], caption] = True
        np.testing.assert_array_equal(chosen, expected)
    folds = candidates(first, 1, folds=3)
    expected = candidates(first, 1)
    for fold in range(3):
        part = np.s_[2 * fold : 2 * fold + 2, 10 * fold : 10 * fold + 10]
        expected[part] |= candidates(first[part], 1)
    np.testing.assert_array_equal(folds, expected)
    assert folds.sum() > candidates(first, 1).sum()
    assert candidates(np.zeros((6, 30)), 2).sum(axis=0).min() == 2  # ties are as many


@pytest.fixture(scope="module")
def stages(cmsei_settings, settings, tmp_path_factory):
    """The best checkpoints of a CMSEI and of a VSE-infinity of one epoch each."""
    out = tmp_path_factory.mktemp("stages")
    found = []
    for name, words in (
        ("cmsei", cmsei_settings),
        ("region", [*settings, "model.segmentation=false"]),
    ):
        words = [*words, f"run.out={out / name}", "train.epochs=1"]
        fit(load_config(ROOT / "configs" / f"scenes_{name}.yaml", words))
        found.append(str(out / name / "model_best.pth"))
    return found


def test_the_shortlist_keeps_the_rest_in_the_first_stage_s_order(stages, world):
    pairs, vectors = stages
    target = Target(str(world), "scenes", "test", workers=0)
    whole, first = (matrix_of(score_checkpoint(p, target, FeatureChoice()).scores) for p in stages)
    scored = score_checkpoint(pairs, target, FeatureChoice(), shortlist=Shortlist(2, vectors))
    found, chosen = scored.scores, candidates(first, 2)
    np.testing.assert_allclose(found[chosen], whole[chosen], atol=1e-6)
    assert f"scored {chosen.sum()} of 500 pairs in" in scored.note
    for image in range(10):
        rest = ~chosen[image]
        assert found[image, rest].max() < found[image, chosen[image]].min()
        np.testing.assert_array_equal(
            np.argsort(found[image, rest]), np.argsort(first[image, rest])
        )
    for caption in range(50):
        rest = ~chosen[:, caption]
        assert found[rest, caption].max() < found[~rest, caption].min()
        order = np.argsort(first[rest, caption])
        np.testing.assert_array_equal(np.argsort(found[rest, caption]), order)
    assert "captions per image" in scored.note
    assert scored.origin.first_stage == vectors
    assert scored.origin.model == "CMSEI I-T on the best 2 of VSE-infinity"
    assert scored.origin.whole.title == "CMSEI on the best 2 of VSE-infinity"
    everything = score_checkpoint(pairs, target, FeatureChoice(), shortlist=Shortlist(50, vectors))
    np.testing.assert_allclose(everything.scores, whole, atol=1e-6)
    owners = np.arange(50) // 5
    assert retrieval_metrics(everything.scores, owners) == retrieval_metrics(whole, owners)


@pytest.mark.slow
def test_by_the_command_line_on_two_processes(stages, world, tmp_path, capsys):
    pairs, vectors = stages
    words = ["--checkpoint", pairs, "--data_path", str(world), "--dataset", "scenes"]
    words += ["--workers", "0", "--shortlist", "3", "--first_stage", vectors, "--device", "cpu"]
    record = tmp_path / "r.json"
    eval_script.main([*words, "--json", str(record)])
    printed = capsys.readouterr().out
    assert "CMSEI I-T on the best 3 of VSE-infinity region on scenes, 10 images" in printed
    shared = succeed(*TORCHRUN, "eval.py", *words, "--json", record)  # replaces its own
    lines = [
        [line for line in text.splitlines() if "scored" not in line] for text in (printed, shared)
    ]
    assert lines[0] == lines[1]
    assert read_record(record).origins[0].model == "CMSEI I-T on the best 3 of VSE-infinity"
    with pytest.raises(SystemExit, match="holds results of"):
        eval_script.main([*words, "--shortlist", "4", "--json", str(record)])


def test_what_applies_to_neither_stage(stages, world):
    pairs, vectors = stages
    words = ["--data_path", str(world), "--dataset", "scenes", "--checkpoint", pairs]
    words += ["--shortlist", "3", "--first_stage", vectors]
    with pytest.raises(SystemExit, match="--images is for models that read pictures; neither"):
        eval_script.main([*words, "--images", "x"])
    with pytest.raises(SystemExit, match="--vocab does not apply to either of the two stages"):
        eval_script.main([*words, "--vocab", "x"])


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ((1, 0), "VSE-infinity compares vectors, for which --shortlist gains nothing"),
        ((0, 0), "CMSEI I-T scores pairs; --first_stage must be a model with a vector per image"),
    ],
)
def test_stages_that_make_no_sense(stages, world, order, message):
    checkpoint, first = (stages[number] for number in order)
    words = ["--data_path", str(world), "--dataset", "scenes", "--checkpoint", checkpoint]
    with pytest.raises(SystemExit, match=message):
        eval_script.main([*words, "--shortlist", "3", "--first_stage", first])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shortlist", "3"], "go together"),
        (["--first_stage", "x"], "go together"),
        (["--shortlist", "0", "--first_stage", "x"], "at least 1"),
    ],
)
def test_half_of_the_options(words, message, capsys):
    with pytest.raises(SystemExit):
        eval_script.main(["--checkpoint", "x", "--dataset", "scenes", *words])
    assert message in capsys.readouterr().err
