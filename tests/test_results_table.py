"""scripts/results_table.py: what becomes one row, and what never does."""

import json
import statistics

import numpy as np
import pytest

from lib.config import Config, from_dict
from lib.evaluation.comparison import compare
from lib.evaluation.ensemble import Member
from lib.evaluation.protocols import evaluate
from lib.evaluation.record import ensemble_record, single_record, write_record
from lib.evaluation.results import Origin
from tests.support import fail, succeed

N = 20


def results(seed, dataset="f30k", split="test"):
    noise = np.random.default_rng(seed).standard_normal((N, 5 * N))
    return evaluate(np.repeat(np.eye(N), 5, axis=1) + 0.6 * noise, dataset, split)


def origin(name, seed=0, features="region", source="f30k", **train):
    config = from_dict({"train": train, "run": {"seed": seed, "out": name}}, "t").to_dict()
    return Origin(f"{name}/model_best.pth", "3SHNet", features, source, seed, 4 + seed, config)


def single(name, seed=0, dataset="f30k", split="test", **more):
    return single_record(
        origin(name, seed, **more), dataset, split, results(hash_of(name), dataset, split)
    )


def hash_of(name):
    return sum(map(ord, name))


def hybrid(*names, dataset="f30k", split="test", weights=None, **more):
    kinds = ("region", "grid")
    weights = weights or [1 / len(names)] * len(names)
    members = [
        Member(n, origin(n, features=k, **more), w, results(hash_of(n), dataset, split))
        for n, k, w in zip(names, kinds, weights, strict=True)
    ]
    return ensemble_record(members, dataset, split, results(9, dataset, split))


def test_seeds_become_one_row_of_means():
    records = [single("a", 0), single("b", 1), single("c", 2)]
    (table,) = compare(records)
    (row,) = table.rows
    sums = [record["results"][0]["rsum"] for record in records]
    assert (row.seeds, row.epoch, row.models) == ("0, 1, 2", "4, 5, 6", "single")
    assert row.figures[-1].mean == pytest.approx(statistics.mean(sums))
    assert row.figures[-1].sd == pytest.approx(statistics.stdev(sums))
    assert row.figures[0].mean == pytest.approx(
        statistics.mean(record["results"][0]["i2t"]["r1"] for record in records)
    )


def test_settings_that_differ_are_rows_and_are_named():
    (table,) = compare([single("a", 0), single("b", 1, lr=1e-3), single("c", 2, lr=1e-3)])
    assert [(row.setting, row.seeds) for row in table.rows] == [
        ("3SHNet (train.lr=0.0005)", "0"),
        ("3SHNet (train.lr=0.001)", "1, 2"),
    ]


def test_single_and_ensemble_are_never_mixed():
    (table,) = compare([hybrid("a", "b"), single("a"), single("c", 1)])
    rows = [(row.features, row.models, row.seeds) for row in table.rows]
    # The hybrid's region model is the run of "a", counted once; its grid model is a row as well.
    assert rows == [
        ("region", "single", "0, 1"),
        ("grid", "single", "0"),
        ("region + grid", "ensemble of 2", "0"),
    ]
    (weighted,) = compare([hybrid("a", "b"), hybrid("a", "b", weights=[0.75, 0.25])])
    settings = [row.setting for row in weighted.rows if row.models != "single"]
    assert settings == ["3SHNet", "3SHNet (weights 0.75, 0.25)"]


def test_hybrids_of_several_seeds():
    first, second = hybrid("a", "b"), hybrid("c", "d")
    for member in second["members"]:
        member["seed"] = member["config"]["run"]["seed"] = 1
    (table,) = compare([first, second])
    assert [(r.models, r.seeds) for r in table.rows if r.models != "single"] == [
        ("ensemble of 2", "0, 1")
    ]


def test_the_order_of_members_makes_no_row():
    one, other = hybrid("a", "b"), hybrid("c", "d")
    other["members"].reverse()
    (table,) = compare([one, other])
    assert sum(row.models != "single" for row in table.rows) == 1


def test_one_training_counts_once_wherever_its_checkpoint_lay():
    moved = single("a") | {"checkpoint": "elsewhere/model_best.pth"}
    (table,) = compare([single("a"), moved])
    assert [row.seeds for row in table.rows] == ["0"]
    pooled = single("a")
    pooled["config"]["features"]["grid_size"] = None  # scored with other features
    (table,) = compare([single("a"), pooled])
    assert [row.setting for row in table.rows] == [
        "3SHNet (features.grid_size=7)", "3SHNet (features.grid_size=null)",
    ]  # fmt: skip


def test_protocols_and_crossings_are_told_apart():
    tables = compare(
        [
            single("a", dataset="coco", split="testall", source="coco"),
            single("b"),
            single("c", source="coco"),
            hybrid("d", "e", source="coco"),
        ]
    )
    titles = [table.title for table in tables]
    assert titles == [
        "coco testall, mean of 5 folds of 4", "coco testall, all 20 images", "f30k test, 20 images",
    ]  # fmt: skip
    sources = [(row.features, row.trained_on) for row in tables[2].rows]
    assert ("region", "f30k") in sources
    assert ("region", "coco (cross-dataset)") in sources
    assert ("region + grid", "coco (cross-dataset)") in sources


def test_published_rows_stand_beneath_their_protocol():
    record = single("a", dataset="coco", split="testall", source="coco")
    for result, images in zip(record["results"], (1000, 5000), strict=True):
        result["images"] = images
    folds, whole = compare([record])
    assert [(r.setting, r.models, r.source) for r in folds.published] == [
        ("3SHNet, published", "single", "authors' re-run"),
        ("VSE-infinity, published", "single", "CMSEI, Table 1"),
        ("CMSEI, published", "ensemble", "CMSEI, Table 1"),
    ]
    assert folds.published[0].figures[-1].mean == 538.0
    assert whole.published[0].models == "not stated"
    (small,) = compare([single("a")])
    assert small.published == []


def test_the_script_prints_both_formats(tmp_path):
    for name, seed in (("run_a", 0), ("run_b", 1)):
        write_record(tmp_path / name / "results.json", single(name, seed))
        (tmp_path / name / "environment.json").write_text("[]")
    write_record(tmp_path / "hybrid" / "results.json", hybrid("run_a", "grid"))
    (tmp_path / "empty").mkdir()
    done = succeed("python", "scripts/results_table.py", *sorted(tmp_path.iterdir()))
    markdown, latex = done.split("% f30k")
    assert "### f30k test, 20 images" in markdown
    assert "| 3SHNet | region | single | f30k | 0, 1 | 4, 5 | " in markdown
    assert " ± " in markdown and r" $\pm$ " in latex
    assert latex.count(r"\\") == 4  # the head and three rows
    assert latex.count(r"\hline") == 4
    assert latex.count("&") == 4 * 13
    only = succeed("python", "scripts/results_table.py", tmp_path / "run_a", "--format", "latex")
    assert "###" not in only


def test_bad_folders(tmp_path):
    command = ("python", "scripts/results_table.py")
    (tmp_path / "empty").mkdir()
    error = fail(*command, tmp_path / "empty")
    assert "empty holds no results" in error
    assert "no such file" in fail(*command, tmp_path / "none")
    (tmp_path / "bad.json").write_text("{")
    assert "no readable JSON" in fail(*command, tmp_path / "bad.json")
    (tmp_path / "bad.json").write_text(json.dumps(Config().to_dict()))
    assert "no results among these" in fail(*command, tmp_path / "bad.json")
