"""eval_cross_ensemble.py, and what scoring a checkpoint on other data has to watch for."""

import json
import shutil

import numpy as np
import pytest
import torch

import eval as eval_script
import eval_cross_ensemble
from lib.checkpoint import load_checkpoint, save_checkpoint
from lib.config import load_config
from lib.evaluation.ensemble import mean_scores
from lib.evaluation.protocols import evaluate
from lib.evaluation.scores import SavedScores
from lib.training.loop import Run
from tests.support import ROOT, SMALL_BERT, bert_config, fail, released_checkpoint, succeed


@pytest.fixture(scope="module")
def runs(settings, tmp_path_factory):
    """Two tiny models of scenes, one on regions and one on grids."""
    out = tmp_path_factory.mktemp("cross")
    for kind in ("region", "grid"):
        overrides = [*settings, f"run.out={out / kind}", "train.epochs=1", "run.seed=5"]
        Run(load_config(ROOT / f"configs/scenes_{kind}.yaml", overrides), False, False).fit(["t"])
    return out


@pytest.fixture
def data(world, tmp_path):
    """The tiny world under the second domain's name and as coco, beside its own."""
    for name in ("scenes_precomp", "scenes_b_precomp", "coco_precomp"):
        shutil.copytree(world / "scenes_precomp", tmp_path / "data" / name)
    for path in (tmp_path / "data" / "coco_precomp").glob("test_*"):
        path.rename(path.with_name(path.name.replace("test_", "testall_")))
    return tmp_path / "data"


def words(runs, data, *flags):
    checkpoints = [runs / kind / "model_best.pth" for kind in ("region", "grid")]
    common = ("--checkpoints", *checkpoints, "--data_path", data, "--workers", "0")
    return [str(word) for word in (*common, "--device", "cpu", *flags)]


def cross(runs, data, *flags):
    eval_cross_ensemble.main(words(runs, data, *flags))


def score(checkpoint, data, *flags):
    common = ("--checkpoint", checkpoint, "--data_path", data, "--workers", "0", "--device", "cpu")
    eval_script.main([str(word) for word in (*common, *flags)])


def test_members_and_mean_on_another_dataset(runs, data, tmp_path):
    out = tmp_path / "cross" / "results.json"
    printed = succeed(
        "python", "eval_cross_ensemble.py",
        *words(runs, data, "--dataset", "scenes_b", "--json", out),
    )  # fmt: skip
    assert "cross-dataset: trained on scenes, scored on scenes_b without tuning" in printed
    assert "hybrid of 2" in printed
    record = json.loads(out.read_text())
    assert record["dataset"] == "scenes_b"
    assert [m["origin"]["source"] for m in record["members"]] == ["scenes", "scenes"]
    assert [m["origin"]["features"] for m in record["members"]] == ["region", "grid"]
    files = []
    for kind in ("region", "grid"):
        path = tmp_path / f"{kind}.npz"
        score(runs / kind / "model_best.pth", data, "--dataset", "scenes_b", "--save_results", path)
        files.append(SavedScores(path))
    own = [evaluate(file, "scenes_b", "test")[0].metrics.rsum for file in files]
    assert [m["results"][0]["metrics"]["rsum"] for m in record["members"]] == own
    (mean,) = evaluate(mean_scores(files, [0.5, 0.5]), "scenes_b", "test")
    assert record["results"][0]["metrics"]["rsum"] == pytest.approx(mean.metrics.rsum)
    assert [m["weight"] for m in record["members"]] == [0.5, 0.5]
    assert files[1].origin.seed == 5
    assert files[1].origin.epoch == 0


def test_coco_as_target_gives_both_protocols(runs, data, capsys):
    cross(runs, data, "--dataset", "coco")
    printed = capsys.readouterr().out
    assert "mean of 5 folds of 2" in printed and "all 10 images" in printed
    assert "trained on scenes, scored on coco" in printed


def test_one_checkpoint_is_a_table_of_its_own(runs, data, capsys, tmp_path):
    flags = ["--checkpoints", str(runs / "grid" / "model_best.pth"), *words(runs, data)[3:]]
    flags += ["--dataset", "scenes_b", "--json", str(tmp_path / "one.json")]
    eval_cross_ensemble.main(flags)
    printed = capsys.readouterr().out
    assert "cross-dataset" in printed and "ensemble" not in printed
    assert len(json.loads((tmp_path / "one.json").read_text())["members"]) == 1


def test_the_training_dataset_is_no_target(runs, data):
    error = fail("python", "eval_cross_ensemble.py", *words(runs, data, "--dataset", "scenes"))
    assert "was trained on scenes itself" in error


def test_eval_marks_a_cross_dataset_table(runs, data, capsys):
    score(runs / "region" / "model_best.pth", data, "--dataset", "coco")
    assert "cross-dataset: trained on scenes, scored on coco" in capsys.readouterr().out
    score(runs / "region" / "model_best.pth", data, "--dataset", "scenes")
    assert "cross-dataset" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--features", "grid", "region"), "was trained on region features, not on grid"),
        (("--features_folder", "", "crops"), "crops: no such folder"),
    ],
)
def test_features_must_suit(runs, data, flags, message):
    with pytest.raises(SystemExit, match=message):
        cross(runs, data, "--dataset", "scenes_b", *flags)


def test_pooling_is_for_grids_alone(runs, data, capsys):
    cross(runs, data, "--dataset", "scenes_b", "--grid_size", "5")  # one of the two is a grid's
    assert "hybrid of 2" in capsys.readouterr().out
    region = runs / "region" / "model_best.pth"
    with pytest.raises(SystemExit, match="--grid_size is for grid features"):
        score(region, data, "--dataset", "scenes_b", "--grid_size", "5")
    flags = ["--checkpoints", str(region), *words(runs, data)[3:], "--dataset", "scenes_b"]
    with pytest.raises(SystemExit, match="none of these checkpoints gets any"):
        eval_cross_ensemble.main([*flags, "--grid_size", "5"])
    with pytest.raises(SystemExit):  # the same checkpoint twice
        eval_cross_ensemble.main([*flags, "--checkpoints", str(region), str(region)])


def test_results_of_another_evaluation_are_not_replaced(runs, data, tmp_path):
    out = ("--save_results", tmp_path / "results.safetensors", "--json", tmp_path / "results.json")
    for _ in range(2):  # the same again is welcome
        score(runs / "region" / "model_best.pth", data, "--dataset", "scenes_b", *out)
    for kind, dataset in (("grid", "scenes_b"), ("region", "scenes")):
        for flags in (out[:2], out[2:]):
            with pytest.raises(SystemExit, match="on scenes_b test; choose another place"):
                score(runs / kind / "model_best.pth", data, "--dataset", dataset, *flags)
    for flags in (out[:2], out[2:]):
        flags[1].write_text("somebody's")
        with pytest.raises(SystemExit, match="is there and holds no results"):
            score(runs / "region" / "model_best.pth", data, "--dataset", "scenes_b", *flags)
        assert flags[1].read_text() == "somebody's"


@pytest.mark.parametrize(
    "flags", [("--features", "grid"), ("--grid_size", "0"), ("--features_folder", "a", "b", "c")]
)
def test_bad_words_show_the_usage(runs, data, flags, capsys):
    with pytest.raises(SystemExit):
        eval_cross_ensemble.main(words(runs, data, "--dataset", "scenes_b", *flags))
    assert "usage:" in capsys.readouterr().err


def test_the_grid_may_be_pooled_otherwise(runs, data, tmp_path):
    grid = runs / "grid" / "model_best.pth"
    matrices = {}
    for size in ("7", "off", "2"):
        flags = ("--dataset", "scenes_b", "--grid_size", size, "--save_results")
        score(grid, data, *flags, tmp_path / f"{size}.safetensors")
        matrices[size] = SavedScores(tmp_path / f"{size}.safetensors")[:]
    assert (matrices["7"] == matrices["off"]).all()  # the tiny world's grids are 7 x 7
    assert (matrices["7"] != matrices["2"]).any()
    with pytest.raises(SystemExit, match="choose another place for these"):  # another evaluation
        score(grid, data, "--dataset", "scenes_b", "--save_results", tmp_path / "2.safetensors")


def test_a_released_file_says_neither_features_nor_always_its_dataset(world, tmp_path, capsys):
    """At full width, but for BERT: a released grid model is scored as what it is only if told."""
    vocabulary = world / "scenes_precomp" / "bert" / "vocab.txt"
    (tmp_path / "bert").mkdir()
    shutil.copy(vocabulary, tmp_path / "bert")
    pieces = len(vocabulary.read_text().splitlines())
    bert = bert_config(**SMALL_BERT | {"vocab_size": pieces})
    bert.save_pretrained(tmp_path / "bert")
    torch.save(released_checkpoint(bert, data_name="theirs"), tmp_path / "m.pth")
    root = tmp_path / "data" / "f30k_precomp"
    root.mkdir(parents=True)
    np.save(root / "test_ims.npy", np.zeros((2, 36, 2048), np.float16))
    np.save(root / "test_segmentations.npy", np.zeros((2, 133, 7, 7), np.float16))
    np.save(root / "test_seg_maps.npy", np.zeros((2, 64, 64), np.uint8))
    np.save(root / "test_cat_onehots.npy", np.zeros((2, 133), np.float16))
    (root / "test_caps.txt").write_text("a cat\n" * 10)
    (root / "test_ids.txt").write_text("1\n2\n")
    (root / "grids").mkdir()
    for i in (1, 2):
        torch.save(torch.rand(1, 2048, 8, 9), root / "grids" / f"{i}.pth")
    flags = ("--dataset", "f30k", "--bert", tmp_path / "bert")
    score(tmp_path / "m.pth", tmp_path / "data", *flags)
    captured = capsys.readouterr()
    assert "does not tell its features; it gets regions" in captured.err
    assert "perhaps cross-dataset: trained on a dataset that its file does not" in captured.out
    score(tmp_path / "m.pth", tmp_path / "data", *flags, "--features", "grid")
    captured = capsys.readouterr()
    assert "3SHNet grid on f30k" in captured.out
    assert "cells pooled to 7 x 7" in captured.out
    assert captured.err == ""


def test_a_released_file_that_does_not_say_its_dataset(tmp_path, runs):
    bert = bert_config(vocab_size=50, num_hidden_layers=1, intermediate_size=32)
    for name, source in (("coco_precomp", "coco"), ("f30k", "f30k"), ("theirs", None)):
        torch.save(released_checkpoint(bert, data_name=name), tmp_path / "m.pth")
        assert load_checkpoint(tmp_path / "m.pth").source == source
    ours = load_checkpoint(runs / "region" / "model_best.pth")
    assert ours.source == "scenes"
    data = ours.config.data.model_copy(update={"dataset": "scenes_b"})
    ours.config = ours.config.model_copy(update={"data": data})
    save_checkpoint(tmp_path / "b.pth", ours)
    assert load_checkpoint(tmp_path / "b.pth").source == "scenes_b"
