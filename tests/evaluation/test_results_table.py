"""scripts/results_table.py: what becomes one row, and what never does."""

import json
import re
import statistics
from dataclasses import replace

import numpy as np
import pytest

from lib.config import from_dict
from lib.evaluation.protocols import evaluate
from lib.evaluation.records import Member, Origin, Record, single_record, write_record
from lib.evaluation.results_table import compare
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
    return Record(dataset, split, members, results(9, dataset, split))


def with_origin(record, **changes):
    """The same record with other facts about its members."""
    members = [replace(m, origin=replace(m.origin, **changes)) for m in record.members]
    return replace(record, members=members)


def reseeded(record, seed):
    for origin in record.origins:
        origin.config["run"]["seed"] = seed
    return with_origin(record, seed=seed)


def tables_of(records):
    tables, notes = compare(records)
    assert notes == []
    return tables


def test_seeds_become_one_row_of_means():
    records = [single("a", 0), single("b", 1), single("c", 2)]
    (table,) = tables_of(records)
    (row,) = table.rows
    sums = [record.results[0].metrics.rsum for record in records]
    assert (row.seeds, row.epoch, row.models) == ("0, 1, 2", "4, 5, 6", "single")
    assert row.figures[-1].mean == pytest.approx(statistics.mean(sums))
    assert row.figures[-1].sd == pytest.approx(statistics.stdev(sums))
    assert row.figures[0].mean == pytest.approx(
        statistics.mean(record.results[0].metrics.i2t.r1 for record in records)
    )


def test_settings_that_differ_are_rows_and_are_named():
    (table,) = tables_of([single("a", 0), single("b", 1, lr=1e-3), single("c", 2, lr=1e-3)])
    assert [(row.setting, row.seeds) for row in table.rows] == [
        ("3SHNet (train.lr=0.0005)", "0"),
        ("3SHNet (train.lr=0.001)", "1, 2"),
    ]


def test_single_and_ensemble_are_never_mixed():
    (table,) = tables_of([hybrid("a", "b"), single("a"), single("c", 1)])
    rows = [(row.features, row.models, row.seeds) for row in table.rows]
    # The hybrid's region model is the run of "a", counted once; its grid model is a row as well.
    assert rows == [
        ("region", "single", "0, 1"),
        ("grid", "single", "0"),
        ("region + grid", "ensemble of 2", "0"),
    ]
    (weighted,) = tables_of([hybrid("a", "b"), hybrid("a", "b", weights=[0.75, 0.25])])
    settings = [row.setting for row in weighted.rows if row.models != "single"]
    assert settings == ["3SHNet", "3SHNet (weights 0.75, 0.25)"]


def test_hybrids_of_several_seeds():
    first, second = hybrid("a", "b"), reseeded(hybrid("c", "d"), 1)
    (table,) = tables_of([first, second])
    assert [(r.models, r.seeds) for r in table.rows if r.models != "single"] == [
        ("ensemble of 2", "0, 1")
    ]


def test_an_ensemble_of_two_settings_names_both():
    mixed = hybrid("a", "b")
    mixed.members[1].origin.config["train"]["lr"] = 1e-3
    (table,) = tables_of([mixed])
    assert [row.setting for row in table.rows if row.models != "single"] == ["3SHNet"]
    same_kind = hybrid("a", "b")
    for member, lr in zip(same_kind.members, (5e-4, 1e-3), strict=True):
        member.origin.config["train"]["lr"] = lr
    same_kind = with_origin(same_kind, features="region")
    (table,) = tables_of([same_kind])
    (row,) = (row for row in table.rows if row.models != "single")
    assert row.setting == "3SHNet (train.lr=0.0005) and 3SHNet (train.lr=0.001)"
    assert row.features == "2 x region"


def test_the_order_of_members_makes_no_row():
    one, other = hybrid("a", "b"), reseeded(hybrid("c", "d"), 1)
    other.members.reverse()
    (table,) = tables_of([one, other])
    assert sum(row.models != "single" for row in table.rows) == 1


def test_one_training_counts_once_wherever_its_checkpoint_lay():
    moved = with_origin(single("a"), checkpoint="elsewhere/model_best.pth")
    (table,) = tables_of([single("a"), moved])
    assert [row.seeds for row in table.rows] == ["0"]


@pytest.mark.parametrize(
    ("section", "key", "value", "told"),
    [
        ("features", "grid_size", None, ("features.grid_size=7", "features.grid_size=null")),
        ("features", "folder", "x152", ("features.folder=null", "features.folder=x152")),
        ("model", "bert", "large", ("model.bert=bert-base-uncased", "model.bert=large")),
    ],
)
def test_other_inputs_are_another_setting(section, key, value, told):
    other = single("b", 1)
    other.origins[0].config[section][key] = value
    (table,) = tables_of([single("a"), other])
    assert [row.setting for row in table.rows] == [f"3SHNet ({text})" for text in told]


def test_a_seed_that_occurs_twice_is_no_mean():
    """Two epochs of one run, or a run and its repetition."""
    last = with_origin(single("a"), epoch=24, checkpoint="later/checkpoint.pth")
    last = replace(last, results=single("z").results)
    (table,) = tables_of([single("a"), last])
    assert [(row.setting, row.seeds, row.epoch) for row in table.rows] == [
        ("3SHNet [a]", "0", "4"), ("3SHNet [later]", "0", "24"),
    ]  # fmt: skip
    assert all(row.figures[0].sd is None for row in table.rows)


def test_an_ensembles_old_member_never_beats_the_runs_own_record():
    fresh = with_origin(single("a"), epoch=9)
    fresh = replace(fresh, results=single("new").results)
    for records in ([hybrid("a", "b"), fresh], [fresh, hybrid("a", "b")]):
        (table,), notes = compare(records)
        (row,) = [row for row in table.rows if row.features == "region"]
        assert row.epoch == "9"
        assert row.figures[-1].mean == fresh.results[0].metrics.rsum
        (note,) = notes
        assert "other figures of a/model_best.pth" in note


def test_released_files_are_rows_of_their_own():
    def released(name, features):
        facts = {"checkpoint": f"released/{name}.pth", "features": features, "config": None}
        return with_origin(single(name), **facts, seed=None, epoch=16)

    records = [released("m", "region"), released("m", "grid"), released("n", "region")]
    (table,) = tables_of(records)
    assert [(row.setting, row.features, row.seeds) for row in table.rows] == [
        ("3SHNet (released/m.pth)", "region", "-"),
        ("3SHNet (released/m.pth)", "grid", "-"),
        ("3SHNet (released/n.pth)", "region", "-"),
    ]


def test_partly_crossing_ensembles_say_so():
    record = hybrid("a", "b")
    second = record.members[1]
    record.members[1] = replace(second, origin=replace(second.origin, source="coco"))
    (table,) = tables_of([record])
    assert table.rows[-1].trained_on == "f30k, coco (partly cross-dataset)"


def test_protocols_and_crossings_are_told_apart():
    tables = tables_of(
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
    sized = [replace(r, images=n) for r, n in zip(record.results, (1000, 5000), strict=True)]
    record = replace(record, results=sized)
    folds, whole = tables_of([record])
    assert [(r.setting, r.models, r.source) for r in folds.published] == [
        ("3SHNet, published", "single", "authors' re-run"),
        ("VSE-infinity, published", "single", "its README, and CMSEI, Table 1"),
        ("VSE-infinity BUTD, published", "single", "VSE-infinity's README"),
        ("VSE-infinity WSL, published", "single", "VSE-infinity's README"),
        ("CMSEI I-T, published", "single", "CMSEI, Table 3"),
        ("CMSEI T-I, published", "single", "CMSEI, Table 3"),
        ("CMSEI, published", "ensemble", "CMSEI, Table 1"),
    ]
    assert folds.published[0].figures[-1].mean == 538.0
    assert whole.published[0].models == "not stated"
    (small,) = tables_of([single("a")])
    assert small.published == []


def test_the_script_prints_every_format(tmp_path):
    for name, seed in (("run_a", 0), ("run_b", 1)):
        write_record(tmp_path / name / "results.json", single(name, seed))
        (tmp_path / name / "environment.json").write_text("[]")
    write_record(tmp_path / "hybrid" / "results.json", hybrid("run_a", "grid"))
    (tmp_path / "empty").mkdir()
    runs = sorted(tmp_path.iterdir())
    command = ("python", "scripts/results_table.py", *runs, "--format")
    markdown, latex = succeed(*command, "markdown"), succeed(*command, "latex")
    assert "### f30k test, 20 images" in markdown
    assert "| 3SHNet | region | single | f30k | 0, 1 | 4, 5 | " in markdown
    assert " ± " in markdown and r" $\pm$ " in latex
    assert latex.count(r"\\") == 4  # the head and three rows
    assert latex.count(r"\hline") == 4
    assert latex.count("&") == 4 * 13
    text = succeed("python", "scripts/results_table.py", *runs)
    assert re.search(r"^3SHNet, region, single, 2 seeds .* ± [0-9.]+$", text, re.MULTILINE)
    assert "20 pictures means little" in text and "20 pictures means little" in markdown
    nested = succeed("python", "scripts/results_table.py", tmp_path)
    assert nested == text
    paper = succeed("python", "scripts/results_table.py", tmp_path, "--paper")
    assert paper.startswith("% f30k test, 20 images") and paper.count(r"\textbf") >= 7
    (tmp_path / "run_a" / ".results.writing-5.json").write_text("{")  # of a writer that was killed
    only = succeed("python", "scripts/results_table.py", tmp_path / "run_a", "--format", "latex")
    assert "###" not in only


def test_bad_folders(tmp_path):
    command = ("python", "scripts/results_table.py")
    (tmp_path / "empty").mkdir()
    error = fail(*command, tmp_path / "empty")
    assert "empty holds no results" in error
    assert "no such file" in fail(*command, tmp_path / "none")
    (tmp_path / "bad.json").write_text("{")
    assert "not a readable JSON" in fail(*command, tmp_path / "bad.json")
    write_record(tmp_path / "good.json", single("a"))
    good = json.loads((tmp_path / "good.json").read_text())
    for key in ("dataset", "members", "results"):
        (tmp_path / "bad.json").write_text(json.dumps({**good, key: None}))
        assert "bad.json: is damaged" in fail(*command, tmp_path / "bad.json")
    for key in ("members", "results"):
        (tmp_path / "bad.json").write_text(json.dumps({**good, key: []}))
        assert "bad.json: is damaged" in fail(*command, tmp_path / "bad.json")
    for config in (3, {"train": "x"}):
        good["members"][0]["origin"]["config"] = config
        (tmp_path / "bad.json").write_text(json.dumps(good))
        assert "bad.json: is damaged" in fail(*command, tmp_path / "bad.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "bad.json").write_text(json.dumps({"format": "other"}))
    assert "bad.json: holds no results" in fail(*command, tmp_path / "bad.json")
