"""LHSC's runs: trained, resumed, evaluated alone and in ensembles, and what is refused."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

import eval as evaluation
import eval_cross_ensemble as crossing
from lib.checkpoint import load_checkpoint, save_checkpoint
from lib.config import load_config
from lib.errors import InputError
from lib.models.lhsc.sentences import WordEncoder
from lib.training.loop import Run
from scripts.convert_checkpoint import convert
from tests.support import ROOT, TORCHRUN, fit, same, succeed

TRAIN = ("python", "train.py", "--config", "configs/scenes_lhsc.yaml")


def evaluate(checkpoint, data, *more):
    """eval.py, in this process."""
    words = ("--checkpoint", checkpoint, "--data_path", data, "--dataset", "scenes", *more)
    evaluation.main([*map(str, words), "--device", "cpu", "--workers", "0"])


@pytest.fixture(scope="module")
def trained(lhsc_settings, world, tmp_path_factory):
    """Two epochs, scored; the last batch of 120 captions is one of 8."""
    out = tmp_path_factory.mktemp("lhsc") / "run"
    path = ROOT / "configs" / "scenes_lhsc.yaml"
    fit(load_config(path, [*lhsc_settings, f"run.out={out}"]))
    kept = ("--save_results", out / "results.safetensors", "--json", out / "results.json")
    evaluate(out / "model_best.pth", world, *kept)
    return out


def test_a_run_keeps_its_vocabulary_and_trains_on_every_pair(trained):
    checkpoint = load_checkpoint(trained / "checkpoint.pth")
    words = json.loads((trained / "vocab.json").read_text())["word2idx"]
    assert list(words) == checkpoint.tokenizer["words"]
    assert checkpoint.progress["updates"] == 2 * 8  # of 16 pairs, and the rest


def test_it_is_averaged_with_itself_and_with_another_family(trained, config, world, tmp_path):
    other = tmp_path / "run"
    fit(config("train.epochs=1"))
    evaluate(other / "model_best.pth", world, "--save_results", other / "results.safetensors")
    shutil.copytree(trained, again := tmp_path / "again")
    for partner, title in ((other, "3SHNet"), (again, "LHSC")):
        files = [folder / "results.safetensors" for folder in (trained, partner)]
        printed = succeed("python", "eval_ensemble.py", *files)
        assert "ensemble of 2" in printed
        assert title in printed


def test_across_datasets_each_model_gets_its_own_files(trained, config, world, tmp_path, capsys):
    fit(config("train.epochs=1"))
    shutil.copytree(world / "scenes_precomp", tmp_path / "scenes_b_precomp")
    both = [folder / "model_best.pth" for folder in (trained, tmp_path / "run")]
    words = ["--checkpoints", *both, "--data_path", tmp_path, "--dataset", "scenes_b"]
    words += ["--device", "cpu", "--workers", "0"]
    files = ["--bert", world / "scenes_precomp" / "bert", "--vocab", trained / "vocab.json"]
    convert(trained / "model_best.pth", released := tmp_path / "elsewhere" / "m.pth.tar", {})
    (released.parent / "scenes_precomp_vocab.json").unlink()
    words.insert(3, released)  # it takes --vocab; the run's own checkpoint keeps its words
    crossing.main(list(map(str, [*words, *files])))
    printed = capsys.readouterr().out
    assert "cross-dataset: trained on scenes, scored on scenes_b without tuning" in printed
    assert "LHSC region" in printed
    words[1:4] = [trained / "model_best.pth"]
    with pytest.raises(SystemExit, match="--bert does not apply to any of these checkpoints"):
        crossing.main(list(map(str, [*words, *files])))


def test_a_released_file_is_scored_as_it_is(trained, world, tmp_path):
    """With the vocabulary beside it, or given."""
    released, beside = tmp_path / "model_best.pth.tar", tmp_path / "scenes_precomp_vocab.json"
    convert(trained / "model_best.pth", released, {})
    assert beside.read_bytes() == (trained / "vocab.json").read_bytes()
    evaluate(released, world, "--json", tmp_path / "results.json")
    one, other = (json.loads((p / "results.json").read_text()) for p in (tmp_path, trained))
    assert one["results"] == other["results"]
    beside.rename(given := tmp_path / "given.json")
    told = r"m.*\.tar: its vocabulary is missing: neither .* is there; pass it by --vocab"
    with pytest.raises(SystemExit, match=told):
        evaluate(released, world)
    evaluate(released, world, "--vocab", given)
    words = json.loads(given.read_text())
    last = words["word2idx"].popitem()
    (short := tmp_path / "short.json").write_text(json.dumps(words))
    told = f"holds {last[1]} words, but the checkpoint knows {last[1] + 1}; name the vocabulary"
    with pytest.raises(SystemExit, match=told):
        evaluate(released, world, "--vocab", short)


def test_the_release_s_batches_are_a_hundred_neighbours(world, trained, tmp_path, monkeypatch):
    """Whatever --batch_size says."""
    convert(trained / "model_best.pth", tmp_path / "m.pth.tar", {})
    assert load_checkpoint(tmp_path / "m.pth.tar").config.model.padding == "ignored"
    checkpoint = load_checkpoint(tmp_path / "m.pth.tar")
    model = checkpoint.config.model.model_copy(update={"padding": "released"})
    config = checkpoint.config.model_copy(update={"model": model})
    save_checkpoint(tmp_path / "r.pth", replace(checkpoint, config=config))
    widths = []
    encode = WordEncoder.forward
    monkeypatch.setattr(
        WordEncoder, "forward", lambda self, b: (widths.append(b.ids.shape), encode(self, b))[1]
    )
    given = ("--vocab", tmp_path / "scenes_precomp_vocab.json", "--batch_size", "7")
    evaluate(tmp_path / "r.pth", world, *given)
    assert [count for count, _ in widths] == [50]
    widths.clear()
    evaluate(tmp_path / "m.pth.tar", world, *given)
    assert [count for count, _ in widths] == [7] * 7 + [1]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.regions=36"], r"holds entries of shape (6, 32), expected (36, 32): regions "
         "(model.regions), channels (model.img_dim)"),
        (["features.drop=0.2"], "features.drop is 0.2, but the model wants all 6 regions of every"),
        (["features.regions=4"], "model.regions is 6, but the features have 4 rows per image"),
        (["model.vocab=nowhere.json"], "nowhere.json: no such vocabulary"),
        (["model.bert=x", "model.padding=released"], "model.padding is of words, which model.bert"),
        (["model.use_word_attention=false", "model.bert=x"], "use_word_attention is of words"),
        (["model.vocab=README.md"], "README.md: is not a vocabulary"),
        (["model.graph_layers=5"], "model.graph_layers is 5, expected integer from 1 to 4"),
    ],
)  # fmt: skip
def test_bad_input_is_told_in_one_line(lhsc_settings, tmp_path, overrides, message):
    path = ROOT / "configs" / "scenes_lhsc.yaml"
    with pytest.raises(InputError) as error:
        Run(load_config(path, [*lhsc_settings, f"run.out={tmp_path}", *overrides]), False, False)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_captions_without_a_known_word_are_counted(trained, world, tmp_path, capsys):
    shutil.copytree(world / "scenes_precomp", folder := tmp_path / "scenes_precomp")
    captions = (folder / "test_caps.txt").read_text().splitlines()
    captions[3:5] = ["Xylophones!", "zzz"]
    (folder / "test_caps.txt").write_text("\n".join(captions) + "\n")
    evaluate(trained / "model_best.pth", tmp_path)
    note = "note: test: 2 captions have no word that the vocabulary knows\n"
    assert capsys.readouterr().err == note


def test_what_does_not_apply_says_so(trained, world, tmp_path):
    best = trained / "model_best.pth"
    with pytest.raises(SystemExit, match="LHSC scores pairs and has no vector per image to save"):
        evaluate(best, world, "--save_embeddings", tmp_path / "e.safetensors")
    with pytest.raises(SystemExit, match="--bert does not apply to LHSC, which needs no such"):
        evaluate(best, world, "--bert", world / "scenes_precomp" / "bert")

    with pytest.raises(SystemExit, match="--vocab does not apply to LHSC, which needs no such"):
        evaluate(best, world, "--vocab", trained / "vocab.json")


def test_validation_changes_nothing_and_is_the_evaluation(lhsc_settings, world, tmp_path):
    """The filter has statistics that a score in training mode would change."""
    path = ROOT / "configs" / "scenes_lhsc.yaml"
    run = fit(load_config(path, [*lhsc_settings, f"run.out={tmp_path}", "train.epochs=1"]))
    run.model.train()
    before = {name: value.clone() for name, value in run.model.named_buffers()}
    run._between = iter
    metrics = run._validate()
    assert run.model.training
    for name, value in run.model.named_buffers():
        assert torch.equal(value, before[name]), name
    assert before["similarity.filter_norm.num_batches_tracked"] == 120  # training captions alone
    evaluate(tmp_path / "model_best.pth", world, "--split", "dev", "--json", tmp_path / "d.json")
    (scored,) = json.loads((tmp_path / "d.json").read_text())["results"]
    assert scored["metrics"]["rsum"] == pytest.approx(metrics.rsum)
    assert run.progress["best_rsum"] == metrics.rsum


def test_overwriting_spares_a_vocabulary_of_somebody_else(lhsc_settings, tmp_path):
    path = ROOT / "configs" / "scenes_lhsc.yaml"
    config = load_config(path, [*lhsc_settings, f"run.out={tmp_path}", "train.epochs=1"])
    fit(config)
    own = (tmp_path / "vocab.json").read_bytes()
    fit(config, overwrite=True)
    assert (tmp_path / "vocab.json").read_bytes() == own
    (tmp_path / "vocab.json").write_text("mine")
    with pytest.raises(InputError, match=r"vocab\.json: is not of this run, which writes its own"):
        fit(config, overwrite=True)
    assert (tmp_path / "vocab.json").read_text() == "mine"
    assert (tmp_path / "model_best.pth").exists()


@pytest.mark.slow
def test_a_whole_run_on_two_processes_ends(lhsc_settings, tmp_path):
    words = [*lhsc_settings, "train.sync_batchnorm=true", "model.padding=released"]
    succeed(*TORCHRUN, *TRAIN[1:], *words, "train.batch_size=50", f"run.out={tmp_path}")
    assert load_checkpoint(tmp_path / "checkpoint.pth").progress["epoch"] == 2


@pytest.mark.slow
def test_a_run_resumes(trained, lhsc_settings, tmp_path):
    path, changes = ROOT / "configs" / "scenes_lhsc.yaml", [*lhsc_settings, f"run.out={tmp_path}"]
    fit(load_config(path, [*changes, "train.epochs=1"]))
    fit(load_config(path, changes), resume=True)
    same(*(load_checkpoint(run / "checkpoint.pth") for run in (tmp_path, trained)))
