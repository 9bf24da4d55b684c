"""eval_ensemble.py: what it averages, what it refuses, what it needs."""

import json
import re
import sys

import numpy as np
import pytest

import eval_ensemble
from lib.errors import InputError
from lib.evaluation.ensemble import normalised_weights
from lib.evaluation.protocols import evaluate
from lib.evaluation.records import Origin
from lib.evaluation.scores import SavedScores, save_results
from tests.support import noisy_scores as scores
from tests.support import released_scores as released
from tests.support import succeed
from tests.support import write_scores as write

N = 10


def run(*words):
    eval_ensemble.main([str(word) for word in words])


def test_the_mean_of_two_is_scored_again(tmp_path, capsys):
    a = write(tmp_path / "a.safetensors", 1, features="region", source="f30k", seed=3, epoch=7)
    b = write(tmp_path / "b.safetensors", 2, features="grid", source="f30k")
    run(a, b, "--json", tmp_path / "h" / "results.json")
    printed = capsys.readouterr().out
    (expected,) = evaluate((scores(1) + scores(2)) / 2, "f30k", "test")
    one, two = (evaluate(scores(seed), "f30k", "test")[0] for seed in (1, 2))
    assert re.search(rf"hybrid of 2 .* {expected.metrics.rsum:.1f}\n", printed)
    gain = expected.metrics.rsum - max(one.metrics.rsum, two.metrics.rsum)
    assert re.search(rf"gain over the best member .* {re.escape(f'{gain:+.1f}')}\n", printed)
    assert "1: 3SHNet region" in printed and "2: 3SHNet grid" in printed
    assert "cross-dataset" not in printed
    record = json.loads((tmp_path / "h" / "results.json").read_text())
    assert record["results"][0]["metrics"]["rsum"] == pytest.approx(expected.metrics.rsum)
    assert [m["results"][0]["metrics"]["rsum"] for m in record["members"]] == [
        one.metrics.rsum, two.metrics.rsum,
    ]  # fmt: skip
    origin = record["members"][0]["origin"]
    assert (origin["seed"], origin["epoch"]) == (3, 7)


def test_coco_gives_both_protocols(tmp_path, capsys):
    for name, seed in (("a", 1), ("b", 2), ("c", 3)):
        write(tmp_path / f"{name}.safetensors", seed, "coco", "testall")
    files = [tmp_path / f"{name}.safetensors" for name in "abc"]
    run(*files, "--weights", "1", "1", "2")
    printed = capsys.readouterr().out
    mean = 0.25 * scores(1) + 0.25 * scores(2) + 0.5 * scores(3)
    for result in evaluate(mean, "coco", "testall"):
        assert result.name.removeprefix("testall, ") in printed
        assert re.search(rf"ensemble of 3 .* {result.metrics.rsum:.1f}\n", printed)
    assert "mean of 5 folds of 2" in printed
    assert "weight 0.5:" in printed


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"dataset": "scenes"}, r"different datasets .*a\.\w+ is f30k, .*b\.\w+ is scenes"),
        ({"split": "dev"}, r"different splits .* is test, .* is dev"),
        ({"n": 5}, "different sizes .* 10 images x 50 captions, .* 5 images x 25 captions"),
        ({"ids": [*"012345678", "x"]}, "different ids .* 1 of 10 .* image 10: 9 there, x here"),
        ({"ids": [*"1023456789"]}, "the same ids in another order.* image 1: 0 there, 1 here"),
    ],
)
def test_what_differs_is_not_averaged(tmp_path, other, message):
    a, b = write(tmp_path / "a.safetensors"), write(tmp_path / "b.safetensors", **other)
    with pytest.raises(SystemExit, match=message):
        run(a, b, "--json", tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_the_arguments_must_agree_with_the_files(tmp_path):
    a, b = write(tmp_path / "a.safetensors"), write(tmp_path / "b.safetensors")
    with pytest.raises(SystemExit, match=r"different datasets .* --dataset is coco"):
        run(a, b, "--dataset", "coco")
    for weights, message in (("1 2 3", "3 given for 2"), ("-1 2", "from 0"), ("0 0", "from 0")):
        with pytest.raises(SystemExit, match=message):
            run(a, b, "--weights", *weights.split())
    assert normalised_weights([1, 3], 2) == [0.25, 0.75]
    for words in ([a], [a, tmp_path / "." / "a.safetensors"]):
        with pytest.raises(SystemExit):
            run(*words)


def test_cocos_small_test_split_is_refused(tmp_path):
    files = [write(tmp_path / f"{name}.safetensors", dataset="coco", split="test") for name in "ab"]
    with pytest.raises(SystemExit, match="first of testall's five folds"):
        run(*files)


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_released_files_are_read(tmp_path, protocol, dtype, capsys):
    matrix = scores(2).astype(dtype)
    theirs = released(tmp_path / "r.npy", {"npts": N, "sims": matrix}, protocol)
    np.testing.assert_array_equal(SavedScores(theirs)[:], matrix.astype(np.float32))
    run(write(tmp_path / "a.safetensors", 1), theirs)
    captured = capsys.readouterr()
    (expected,) = evaluate((scores(1) + scores(2)) / 2, "f30k", "test")
    assert f" {expected.metrics.rsum:.1f}\n" in captured.out
    assert "r.npy has no ids" in captured.err


def test_released_files_alone_need_names(tmp_path, capsys):
    files = [released(tmp_path / f"{i}.npy", {"npts": N, "sims": scores(i)}) for i in range(2)]
    with pytest.raises(SystemExit, match="name it with --dataset"):
        run(*files)
    with pytest.raises(SystemExit, match="name it with --split"):
        run(*files, "--dataset", "coco")
    run(*files, "--dataset", "coco", "--split", "testall")
    assert "5 folds of 2" in capsys.readouterr().out


def test_nan_names_the_file(tmp_path):
    a = write(tmp_path / "a.safetensors")
    broken = scores(3)
    broken[7, 2] = np.nan
    ids = [str(i) for i in range(N)]
    with pytest.raises(InputError, match=r"b\.safetensors: scores are NaN or infinite"):
        save_results(tmp_path / "b.safetensors", broken, ids, "f30k", "test", Origin())
    released(tmp_path / "b.npy", {"npts": N, "sims": broken})
    with pytest.raises(SystemExit, match=r"b\.npy.*NaN"):
        run(a, tmp_path / "b.npy")


MEASURED = """
import re, sys
from pathlib import Path
import eval_ensemble

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

before = peak()
eval_ensemble.main((sys.argv[1:]))
print(f"peak above the start: {peak() - before:.0f} MB")
assert "torch" not in sys.modules and "transformers" not in sys.modules
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_one_matrix_and_a_chunk_is_all_it_holds_and_no_torch(tmp_path):
    """1,500 x 7,500 float32 is 45 MB; members more than that would show."""
    n = 1500
    matrix = np.random.default_rng(0).random((n, 5 * n), np.float32)
    for i in range(3):
        ids = [str(j) for j in range(n)]
        save_results(tmp_path / f"{i}.safetensors", matrix, ids, "coco", "testall", Origin())
    released(tmp_path / "r.npy", {"npts": n, "sims": matrix}, 4)
    files = [
        tmp_path / name for name in ("0.safetensors", "1.safetensors", "2.safetensors", "r.npy")
    ]
    printed = succeed("python", "-c", MEASURED, *files)
    above = int(re.search(r"start: (\d+) MB", printed)[1])
    assert 45 <= above < 45 + 40
