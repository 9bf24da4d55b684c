"""A model goes to a stand-in of the hub, over real sockets, and is scored from there."""

import json
import os
import shutil

import pytest

import eval as eval_script
from lib.config import load_config
from lib.evaluation.records import read_record
from scripts import push_to_hub
from tests.hub_stand_in import stand_in
from tests.support import ROOT, fail, fit, succeed


@pytest.fixture(scope="module")
def run(settings, tmp_path_factory):
    """A run with its results."""
    folder = tmp_path_factory.mktemp("push") / "run"
    words = [*settings, "train.epochs=1", f"run.out={folder}"]
    fit(load_config(ROOT / "configs" / "scenes_region.yaml", words))
    where = ["--device", "cpu", "--workers", "0", "--json", str(folder / "results.json")]
    eval_script.main(["--checkpoint", str(folder), *where])
    return folder


@pytest.fixture
def hub(tmp_path):
    """What the stand-in holds, and the environment of programs that take it for the hub."""
    with stand_in() as (address, hub):
        env = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf")}
        env |= {"HF_TOKEN": "hf_none", "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
        yield hub, env | {"HF_HUB_DISABLE_TELEMETRY": "1"}


def push(run, *words):
    push_to_hub.main([str(run), "--repo", "me/model", *words])


WHERE = ("--device", "cpu", "--workers", "0")


def test_a_push_and_a_load(run, hub, world, tmp_path):
    hub, env = hub
    command = ("python", "scripts/push_to_hub.py", run, "--repo", "me/model")
    printed = succeed(*command, env=env)
    assert "pushed: " in printed and "/me/model/commit/" in printed
    files = hub.repositories["me/model"]
    assert {"model.safetensors", "config.yaml", "manifest.json", "README.md", "bert/vocab.txt"} <= (
        files.keys()
    )
    assert hub.large  # the weights went as a large file
    record = tmp_path / "r.json"
    score = ("python", "eval.py", "--checkpoint", "hf://me/model", "--data_path", world, *WHERE)
    printed = succeed(*score, "--json", record, env=env)
    assert printed.startswith("hf://me/model: 3SHNet region on scenes, 10 images")
    found, own = read_record(record), read_record(run / "results.json")
    assert [r.metrics for r in found.results] == [r.metrics for r in own.results]
    assert found.origins[0].checkpoint == "hf://me/model"
    assert found.origins[0].revision == hub.commit_of("me/model")


@pytest.mark.slow
def test_what_the_hub_says_and_holds_is_told(run, hub, world, tmp_path):
    hub, env = hub
    command = ("python", "scripts/push_to_hub.py", run, "--repo", "me/model")
    score = ("python", "eval.py", "--checkpoint", "hf://me/model", "--data_path", world, *WHERE)
    hub.repositories["me/model"] = {"README.md": b"mine"}
    told = fail(*command, env=env)
    assert told.endswith("error: hf://me/model: holds README.md; --overwrite pushes over it (the "
                         "hub keeps its history), or choose another --repo\n")  # fmt: skip
    assert hub.repositories["me/model"] == {"README.md": b"mine"}
    succeed(*command, "--overwrite", env=env)
    printed = succeed(*score, env=env)
    asked = len(hub.asked)
    assert succeed(*score, env=env | {"HF_HUB_OFFLINE": "1"}) == printed  # from the cache
    assert len(hub.asked) == asked
    told = fail(*score[:3], "hf://me/none", *score[4:], env=env)
    assert told == (
        "error: hf://me/none: the hub has no such model, or it is private (hf auth login logs in)\n"
    )
    # What is damaged on the way is not scored.
    files = hub.repositories["me/model"]
    files["config.yaml"] = files["config.yaml"].replace(b"seed: 0", b"seed: 1")
    told = fail(*score, env=env | {"HF_HOME": str(tmp_path / "new")})
    assert told == (
        "error: hf://me/model: config.yaml differs from its checksum; download or push it again\n"
    )
    hub.refuses = True
    told = fail(*command, env=env)
    assert "hf://me/model: is unavailable" in told or "cannot be pushed" in told


@pytest.mark.slow
def test_a_model_of_others_by_its_name(hubs, hub, world):
    hub, env = hub
    hub.repositories["they/siglip"] = {
        path.name: path.read_bytes() for path in hubs["siglip"].iterdir()
    } | {"pytorch_model.bin": b"not fetched", "flax_model.msgpack": b"neither"}
    where = ("--data_path", world, "--dataset", "scenes", *WHERE)
    printed = succeed("python", "eval.py", "--hub", "they/siglip", *where, env=env)
    assert printed.startswith("hf://they/siglip: siglip images on scenes, 10 images")
    local = succeed("python", "eval.py", "--hub", hubs["siglip"], *where)
    assert printed.splitlines()[1:] == local.splitlines()[1:]
    assert not any("pytorch_model" in asked or "msgpack" in asked for asked in hub.asked)


def test_a_dry_run_writes_and_asks_nobody(run, tmp_path, capsys):
    mine = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("hub"))
    push(mine, "--dry-run")
    printed = capsys.readouterr()
    assert "nothing was pushed; without --dry-run this goes to hf://me/model" in printed.out
    assert "README.md: its licence is to be filled in" in printed.err
    card = (mine / "hub" / "README.md").read_text()
    record = read_record(mine / "results.json")
    (result,) = record.results
    assert f"| {result.metrics.rsum:.1f} |" in card
    assert "scenes test, 10 images, percent" in card
    assert "license: other" in card and "eval.py --checkpoint hf://me/model" in card
    assert "- command: `python " in card and str(tmp_path) not in card
    push(mine, "--dry-run", "--licence", "mit")  # what nobody has edited is written anew
    card = (mine / "hub" / "README.md").read_text()
    assert "license: mit" in card and "to be filled in" not in card
    # A card that was filled in stays, and is told.
    (mine / "hub" / "README.md").write_text("mine")
    capsys.readouterr()
    push(mine, "--dry-run")
    assert (mine / "hub" / "README.md").read_text() == "mine"
    assert "README.md: was edited and stays as it is; --new-card writes" in capsys.readouterr().err
    with pytest.raises(SystemExit, match=r"README\.md: was edited and stays; write the licence"):
        push(mine, "--dry-run", "--licence", "mit")
    push(mine, "--dry-run", "--new-card")
    assert "license: other" in (mine / "hub" / "README.md").read_text()
    # A push that was interrupted begins anew.
    (mine / "hub" / "manifest.json").unlink()
    (mine / "hub" / "README.md").unlink()
    push(mine, "--dry-run")


def test_results_of_other_weights_are_not_its_own(run, tmp_path, capsys):
    mine = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("hub"))
    record = json.loads((mine / "results.json").read_text())
    origin = record["members"][0]["origin"]
    for changes in (
        {"epoch": 7},
        {"features": "grid"},
        {"source": "f30k"},
        {"config": origin["config"] | {"train": origin["config"]["train"] | {"lr": 0.5}}},
    ):
        record["members"][0]["origin"] = origin | changes
        (mine / "results.json").write_text(json.dumps(record))
        with pytest.raises(SystemExit, match=r"results\.json: holds results of .*; .* epoch 0"):
            push(mine, "--dry-run")
    (mine / "results.json").unlink()
    push(mine, "--dry-run")
    assert "the card has no results; python eval.py" in capsys.readouterr().err
    assert "None were recorded." in (mine / "hub" / "README.md").read_text()


def test_what_is_no_run_is_refused(run, hubs, tmp_path):
    def refused(message, *words):
        with pytest.raises(SystemExit, match=message):
            push_to_hub.main([*map(str, words), "--dry-run"])

    refused("expected OWNER/NAME", run, "--repo", "model")
    refused("expected OWNER/NAME", run, "--repo", "../..")
    refused("expected a name, as in cc-by-4.0", run, "--repo", "me/x", "--licence", "a: b")
    refused(r"holds no model_best\.pth", tmp_path, "--repo", "me/x")
    refused("is a file, expected a run's folder", run / "model_best.pth", "--repo", "me/x")
    mine = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("hub"))
    (mine / "hub").mkdir()
    (mine / "hub" / "notes.txt").write_text("mine")
    refused("holds notes.txt, which is not this program's", mine, "--repo", "me/x")
    assert [path.name for path in (mine / "hub").iterdir()] == ["notes.txt"]
    refused("is no record of eval.py", run, "--repo", "me/x", "--record", run / "environment.json")
