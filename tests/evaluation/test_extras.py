"""What eval.py tells beside the protocols: intervals and perturbations, in print and in records."""

import json

import numpy as np
import pytest
from PIL import Image

import eval as eval_script
import eval_ensemble
from lib.config import load_config
from lib.data.captions import read_captions
from lib.evaluation.extras import Extras, with_twins
from lib.evaluation.intervals import bootstrap
from lib.evaluation.perturbations import PICTURES, swapped
from lib.evaluation.protocols import protocol_ranks
from lib.evaluation.records import read_record
from lib.evaluation.results_table import compare
from lib.evaluation.scores import SavedScores
from lib.evaluation.table_formats import to_markdown
from lib.retriever import load
from tests.support import ROOT, fit, noisy_scores, write_scores


@pytest.fixture(scope="module")
def run(settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("extras") / "run"
    words = [*settings, "train.epochs=1", f"run.out={out}"]
    fit(load_config(ROOT / "configs" / "scenes_region.yaml", words))
    return out


def evaluate(run, *words):
    eval_script.main(["--checkpoint", str(run), "--device", "cpu", "--workers", "0", *words])


@pytest.mark.parametrize("dataset", ["f30k", "coco"])
def test_twins_join_the_gallery_of_their_fold(dataset):
    scores, twins = noisy_scores(0, 20), noisy_scores(1, 20)
    twins[:, 3] = -np.inf
    ranks = protocol_ranks(scores, dataset, "testall")
    found = with_twins(ranks, scores, twins, dataset)
    for before, after in zip(ranks, found, strict=True):
        for number, (fold, changed) in enumerate(zip(before.folds, after.folds, strict=True)):
            size = len(fold[0])
            for image in range(size):
                row = number * size + image
                best = scores[row, 5 * row : 5 * row + 5].max()
                columns = slice(5 * number * size, 5 * (number + 1) * size)
                expected = fold[0][image] + (twins[row, columns] >= best).sum()
                assert changed[0][image] == expected
            assert np.array_equal(fold[1], changed[1])
    assert {len(one.folds) for one in found} == ({5, 1} if dataset == "coco" else {1})


def test_nothing_is_told_unasked():
    scores = noisy_scores(0, 10)
    (result,) = Extras().evaluate(scores, "f30k", "test")
    assert result.interval is None and result.benchmark is None and result.precision is None


def test_swapped_words_are_scored_by_the_model(run, world, tmp_path, capsys):
    record, kept = tmp_path / "r.json", tmp_path / "r.safetensors"
    words = ("--perturb", "words", "--ci", "90", "--json", str(record), "--save_results", str(kept))
    evaluate(run, *words)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines()[1:-2])) <= 100
    assert "wrong twins: each caption's copy with one word swapped joins" in printed
    clean, changed = read_record(record).results
    scores = SavedScores(kept)[:]
    model = load(run, device="cpu")
    folder = world / "scenes_precomp"
    arrays = {name: np.load(folder / f"test_{name}.npy") for name in model.needs[1:]}
    images = model.encode_images(
        [
            {"features": rows, **{name: array[i] for name, array in arrays.items()}}
            for i, rows in enumerate(np.load(folder / "test_ims.npy"))
        ]
    )
    twins = model.score(
        images, model.encode_texts(swapped(read_captions(folder / "test_caps.txt")))
    )
    (expected,) = with_twins(protocol_ranks(scores, "scenes", "test"), scores, twins, "scenes")
    assert changed.metrics == expected.result().metrics
    assert changed.name == f"{clean.name}; wrong twins" and changed.benchmark == "words"
    assert changed.metrics.i2t.mean_rank > clean.metrics.i2t.mean_rank
    assert changed.metrics.t2i == clean.metrics.t2i
    found = bootstrap(expected.hits(), 90)
    assert changed.interval == found
    assert "90% interval" in printed
    tables, _ = compare([read_record(record)])
    assert [table.title.partition("; ")[2] for table in tables] == ["", "wrong twins"]
    assert f"{changed.metrics.rsum:.1f}" in to_markdown(tables[1])


def test_pictures_are_changed_for_who_reads_them(run, hubs, world, tmp_path, capsys):
    with pytest.raises(SystemExit, match=r"--perturb blur changes pictures, and .* reads features"):
        evaluate(run, "--perturb", "words,blur")
    record = tmp_path / "r.json"
    where = ["--data_path", str(world), "--dataset", "scenes", "--device", "cpu", "--workers", "0"]
    words = ["--hub", str(hubs["clip"]), *where, "--perturb", "dim,blur", "--json", str(record)]
    eval_script.main(words)
    clean, *changed = read_record(record).results
    assert [one.benchmark for one in changed] == ["dim", "blur"]
    model = load(hubs["clip"], device="cpu")
    folder = world / "scenes_precomp"
    ids = (folder / "test_ids.txt").read_text().split()
    texts = model.encode_texts(read_captions(folder / "test_caps.txt"))
    for one in changed:
        pictures = [Image.open(folder / "images" / f"{i}.png").convert("RGB") for i in ids]
        images = model.encode_images([PICTURES[one.benchmark](picture) for picture in pictures])
        (expected,) = protocol_ranks(model.score(images, texts), "scenes", "test")
        assert one.metrics == expected.result().metrics
        assert one.metrics != clean.metrics


def test_ensembles_have_intervals(tmp_path, capsys):
    paths = [write_scores(tmp_path / f"{i}.safetensors", noise=i, n=20) for i in (0, 1)]
    record = tmp_path / "e.json"
    eval_ensemble.main([*map(str, paths), "--ci", "95", "--json", str(record)])
    assert capsys.readouterr().out.count("% interval") == 2
    (result,) = json.loads(record.read_text())["results"]
    low, high = (result["interval"][end][-1] for end in ("low", "high"))
    assert low <= result["metrics"]["rsum"] <= high


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--ci", "5"), "--ci is 5, expected a percentage from 50 to below 100"),
        (("--ci", "nan"), "--ci is nan, expected"),
        (("--benchmarks", "eccv,cxd"), "'cxd' is not one of cxc, eccv, pmrp"),
        (("--perturb", ""), "'' is not one of words, blur, dim"),
        (("--perturb", "words", "--shortlist", "3", "--first_stage", "c"), "leave one out"),
        (("--caption_ids", "f"), "--caption_ids is for --benchmarks"),
        (("--benchmark_files", "f"), "--benchmark_files is for --benchmarks"),
    ],
)
def test_bad_words_show_the_usage(words, message, capsys):
    with pytest.raises(SystemExit) as left:
        eval_script.main(["--checkpoint", "c", "--dataset", "coco", *words])
    assert left.value.code == 2
    assert message in capsys.readouterr().err
