"""eval.py as a user meets it."""

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import BertConfig

import eval as eval_script
from lib.checkpoint import load_checkpoint, save_checkpoint
from lib.config import load_config
from lib.evaluation.scores import SavedScores, read_embeddings
from lib.training.loop import Run
from tests.support import ROOT, fail, succeed


@pytest.fixture(scope="module")
def checkpoint(settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("eval") / "run"
    overrides = [*settings, f"run.out={out}", "train.epochs=1"]
    Run(load_config(ROOT / "configs/scenes_region.yaml", overrides), False, False).fit(["test"])
    return out / "model_best.pth"


def evaluate(checkpoint, world, *flags):
    return (
        "python", "eval.py", "--checkpoint", checkpoint, "--data_path", world,
        "--workers", "0", "--device", "cpu", *flags,
    )  # fmt: skip


def score(checkpoint, world, *flags):
    """The same in this process, where starting Python and torch anew would show nothing."""
    words = [str(word) for word in evaluate(checkpoint, world, *flags)[2:]]
    eval_script.main(words)


def test_everything_is_saved_and_agrees(checkpoint, world, tmp_path):
    results, embeddings, figures = (tmp_path / n for n in ("r.npz", "e.safetensors", "f.json"))
    printed = succeed(
        *evaluate(checkpoint, world, "--dataset", "scenes", "--batch_size", "7"),
        "--save_results", results, "--save_embeddings", embeddings, "--json", figures,
    )  # fmt: skip
    assert "test, 10 images" in printed
    assert "3SHNet region on scenes" in printed
    saved = SavedScores(results)
    scores, ids = saved[:], saved.image_ids
    assert scores.shape == (10, 50)
    assert (saved.dataset, saved.split) == ("scenes", "test")
    assert saved.origin.checkpoint == str(checkpoint)
    images, captions, embedded = read_embeddings(embeddings)
    assert captions.shape == (50, 32)
    assert embedded == ids
    np.testing.assert_allclose(images @ captions.T, scores, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, atol=1e-5)
    written = json.loads(figures.read_text())
    (result,) = written["results"]
    best = np.array([[scores[i, 5 * j : 5 * j + 5].max() for j in range(10)] for i in range(10)])
    first = 100 * np.mean(best.argmax(axis=1) == np.arange(10))
    assert result["metrics"]["i2t"]["r1"] == pytest.approx(first)
    assert f"{result['metrics']['rsum']:.1f}" in printed
    assert ids == (world / "scenes_precomp" / "test_ids.txt").read_text().split()


def test_batches_and_precision_do_not_change_the_scores(checkpoint, world, tmp_path):
    scores = {}
    variants = {"one": ("--batch_size", "1"), "all": (), "bf16": ("--precision", "bf16")}
    for name, flags in variants.items():
        path = tmp_path / f"{name}.npz"
        flags = ("--dataset", "scenes", "--save_results", path, *flags)
        score(checkpoint, world, *flags)
        scores[name] = SavedScores(path)[:]
    np.testing.assert_allclose(scores["one"], scores["all"], atol=1e-6)
    np.testing.assert_allclose(scores["one"], scores["bf16"], atol=0.03)
    assert np.abs(scores["one"] - scores["bf16"]).max() > 0


def test_coco_gives_both_protocols_from_one_encoding(checkpoint, world, tmp_path, capsys):
    folder = tmp_path / "coco_precomp"
    folder.mkdir()
    for path in (world / "scenes_precomp").glob("test_*"):
        shutil.copy(path, folder / path.name.replace("test", "testall"))
    score(checkpoint, tmp_path, "--dataset", "coco")
    printed = capsys.readouterr().out
    assert "testall, mean of 5 folds of 2" in printed
    assert "testall, all 10 images" in printed
    assert printed.count("  fold ") == 5
    assert "538.0" not in printed  # published of 1,000 images a fold, not of two
    with pytest.raises(SystemExit, match="--split testall"):
        score(checkpoint, tmp_path, "--dataset", "coco", "--split", "test")


def test_a_config_and_a_vocabulary_are_enough(checkpoint, world, tmp_path):
    for name in ("config.json", "vocab.txt"):
        shutil.copy(world / "scenes_precomp" / "bert" / name, tmp_path)
    score(checkpoint, world, "--dataset", "scenes", "--bert", tmp_path)


def test_an_empty_features_folder_goes_back_to_the_array(checkpoint, world, tmp_path):
    trained_on_files = load_checkpoint(checkpoint)
    config = trained_on_files.config
    features = config.features.model_copy(update={"folder": "regions"})
    trained_on_files.config = config.model_copy(update={"features": features})
    save_checkpoint(tmp_path / "m.pth", trained_on_files)
    flags = ("--dataset", "scenes")
    with pytest.raises(SystemExit, match="regions: no such folder"):
        score(tmp_path / "m.pth", world, *flags)
    score(tmp_path / "m.pth", world, *flags, "--features_folder", "")


def test_captions_that_are_cut_or_empty_are_said_once(checkpoint, world, tmp_path, capsys):
    shutil.copytree(world / "scenes_precomp", tmp_path / "scenes_precomp")
    path = tmp_path / "scenes_precomp" / "test_caps.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(["", "a dog " * 60, *lines[2:]]) + "\n")
    score(checkpoint, tmp_path, "--dataset", "scenes")
    errors = capsys.readouterr().err
    assert errors.count("1 captions are longer than 64 tokens and were cut") == 1
    assert errors.count("1 captions are empty") == 1


def test_one_image_is_scored(checkpoint, world, tmp_path, capsys):
    from tests.support import cut_split

    cut_split(world, tmp_path, "test", 1)
    score(checkpoint, tmp_path, "--dataset", "scenes")
    assert "600.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--dataset", "f30k"), "f30k_precomp nor"),
        (
            ("--dataset", "scenes", "--split", "val"),
            "val_caps.txt: no such file; the splits there are dev, test, train",
        ),
        (("--dataset", "scenes", "--bert", "nowhere/bert"), "--bert FOLDER"),
        (("--dataset", "scenes", "--save_results", "/dev/null/r.npz"), "cannot be written"),
        (("--dataset", "scenes", "--features_folder", "none"), "no such folder of features"),
    ],
)
def test_bad_arguments(checkpoint, world, flags, message):
    with pytest.raises(SystemExit, match=message):
        score(checkpoint, world, *flags)


@pytest.mark.parametrize("flags", [("--dataset", "co/co"), ("--dataset", "f30k", "--workers=-1")])
def test_bad_words_show_the_usage(flags, capsys):
    with pytest.raises(SystemExit):
        eval_script.main(["--checkpoint", "c", "--data_path", "d", *flags])
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--json", "--save_results", "--save_embeddings"])
def test_outputs_destroy_nothing(checkpoint, world, tmp_path, flag):
    mine, table = tmp_path / "m.pth", tmp_path / "notes.txt"
    shutil.copy(checkpoint, mine)
    table.write_text("precious")
    (tmp_path / "link").symlink_to(mine)
    (tmp_path / "device").symlink_to("/dev/null")
    for path, message in (
        (mine, "is read by this command"),
        (tmp_path / "link", "is read by this command"),
        (table, "holds no results"),
        (tmp_path / "device", "no regular file"),
        ("", "is empty"),
    ):
        before = mine.read_bytes(), table.read_text()
        with pytest.raises(SystemExit, match=message):
            score(mine, world, "--dataset", "scenes", flag, path)
        assert (mine.read_bytes(), table.read_text()) == before
    twice = ("--json", tmp_path / "new", "--save_results", tmp_path / "." / "new")
    with pytest.raises(SystemExit, match="is named for two outputs"):
        score(mine, world, "--dataset", "scenes", *twice)
    assert not (tmp_path / "new").exists()


def test_an_output_by_a_link_is_written_where_the_link_leads(checkpoint, world, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link, target = tmp_path / "r.json", tmp_path / "elsewhere" / "r.json"
    link.symlink_to(target)
    for _ in range(2):
        score(checkpoint, world, "--dataset", "scenes", "--json", link)
        assert link.is_symlink()
        assert target.is_file()


def test_another_bert_is_refused(checkpoint, world, tmp_path):
    shutil.copy(world / "scenes_precomp" / "bert" / "vocab.txt", tmp_path)
    BertConfig(vocab_size=500, hidden_size=64, num_attention_heads=2).save_pretrained(tmp_path)
    with pytest.raises(SystemExit, match="is not the one that the checkpoint was trained with"):
        score(checkpoint, world, "--dataset", "scenes", "--bert", tmp_path)


def test_a_bomb_is_refused(world, tmp_path):
    torch.save({"model": [print, print]}, tmp_path / "m.pth")
    error = fail(*evaluate(tmp_path / "m.pth", world, "--dataset", "scenes"))
    assert "refused" in error
    assert "print" in error


def test_scores_are_no_embeddings_to_replace(checkpoint, world, tmp_path):
    path = tmp_path / "s.safetensors"
    score(checkpoint, world, "--dataset", "scenes", "--save_results", path)
    before = path.read_bytes()
    with pytest.raises(SystemExit, match="holds no results"):
        score(checkpoint, world, "--dataset", "scenes", "--save_embeddings", path)
    assert path.read_bytes() == before


def test_a_checkpoint_that_is_not_there_is_what_is_told(tmp_path):
    with pytest.raises(SystemExit, match="none: no such run or checkpoint"):
        eval_script.main(["--checkpoint", str(tmp_path / "none")])
