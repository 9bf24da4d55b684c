"""Records: what is written comes back, and other files are told apart."""

import json
from dataclasses import replace

import pytest

from lib.errors import InputError
from lib.evaluation.protocols import evaluate
from lib.evaluation.records import (
    Member,
    Origin,
    Record,
    read_record,
    require_members,
    require_replaceable_record,
    single_record,
    write_record,
)
from lib.models.family import Whole
from tests.support import noisy_scores

RESULTS = evaluate(noisy_scores(0), "coco", "testall")
ORIGIN = Origin("a.pth", "3SHNet", "region", "coco", 3, 7, {"train": {"lr": 5e-4}})


def test_a_record_comes_back(tmp_path):
    path = tmp_path / "new" / "results.json"
    whole = Whole("CMSEI", "I-T", ("I-T", "T-I"))
    members = [
        Member("a.safetensors", ORIGIN, 0.25, RESULTS),
        Member("b.safetensors", Origin("b.pth", whole=whole), 0.75, RESULTS),
    ]
    for record in (single_record(ORIGIN, "coco", "testall", RESULTS),
                   Record("coco", "testall", members, RESULTS)):  # fmt: skip
        write_record(path, record)
        assert read_record(path) == record
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]


@pytest.mark.parametrize("content", [{"lr": 1}, [1, 2], "results", None])
def test_json_of_something_else_is_no_record(tmp_path, content):
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert read_record(tmp_path / "a.json") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "image-sentence results 1"}, "of another version .*format"),
        ({"members": []}, "members"),
        ({"results": [{"name": "x"}]}, r"results\.0"),
    ],
)
def test_damaged_records_are_explained(tmp_path, change, message):
    path = tmp_path / "a.json"
    write_record(path, single_record(ORIGIN, "coco", "testall", RESULTS))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=rf"a\.json: is damaged, or .*{message}.*evaluate again"):
        read_record(path)
    path.write_text("{")
    with pytest.raises(InputError, match="not a readable JSON file"):
        read_record(path)


def test_records_of_other_evaluations_are_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, same = tmp_path / "a.json", lambda: ORIGIN
    write_record(path, single_record(ORIGIN, "coco", "testall", RESULTS))
    for name in ("a.pth", "./a.pth", str(tmp_path / "a.pth")):
        require_replaceable_record((name, "coco", "testall"), same, path)
    longer = replace(ORIGIN, epoch=9)  # the same run, resumed
    require_replaceable_record(("a.pth", "coco", "testall"), lambda: longer, path)
    for wanted in (("a.pth", "f30k", "test"), ("b.pth", "coco", "testall")):
        with pytest.raises(InputError, match=r"holds results of a\.pth, .* on coco testall"):
            require_replaceable_record(wanted, same, path)
    other = replace(ORIGIN, seed=4)  # another run of the same name
    with pytest.raises(InputError, match="of seed 3"):
        require_replaceable_record(("a.pth", "coco", "testall"), lambda: other, path)
    for text in ("precious", '{"precious": 1}', "{"):
        path.write_text(text)
        with pytest.raises(InputError, match="holds no results"):
            require_replaceable_record(("a.pth", "coco", "testall"), same, path)


def test_an_ensemble_s_record_is_of_its_members(tmp_path):
    path = tmp_path / "a.json"
    members = [Member(f"{n}.safetensors", ORIGIN, 0.5, RESULTS) for n in "ab"]
    write_record(path, Record("coco", "testall", members, RESULTS))
    names, half = ["b.safetensors", "a.safetensors"], [0.5, 0.5]
    require_members(names, half, None, path)
    require_members(names, half, ("coco", "testall"), path)
    for changed in (
        (names[:1], half[:1], None),
        (names, [0.3, 0.7], None),
        (names, half, ("coco", "dev")),
        (names, half, ("f30k", "testall")),
    ):
        with pytest.raises(InputError, match="holds no record of these members"):
            require_members(*changed, path)


def test_an_origin_s_title():
    assert ORIGIN.title == "3SHNet region"
    assert Origin(model="3SHNet").title == "3SHNet"
    assert ORIGIN.is_cross_dataset("f30k")
    assert not ORIGIN.is_cross_dataset("coco")
    assert not Origin().is_cross_dataset("coco")  # who knows
