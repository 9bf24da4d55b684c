"""What made features is written, kept with the weights, and compared when they are scored."""

import json
import shutil

import pytest

import eval as eval_script
from lib.checkpoint import load_checkpoint
from lib.config import load_config
from lib.data.manifest import Manifest, maker_notes, read_manifest, write_manifest
from lib.errors import InputError
from lib.training.loop import Run
from scripts import pack_features
from tests.support import ROOT

SETTINGS = {"preprocessing": {"shortest": 600, "mean": (1.0, 2.0)}, "dtype": "float16"}
X101 = Manifest("grid: ResNeXt-101 32x8d", "X-101.pth", "a" * 64, SETTINGS)


def test_manifests_come_back_and_are_compared_as_json_keeps_them(tmp_path):
    write_manifest(tmp_path / "m.json", X101)
    again = read_manifest(tmp_path / "m.json")
    assert again.differences(X101) == []
    assert again.maker == X101.maker
    assert again.versions["torch"]
    other = Manifest("grid: ResNeXt-101 32x8d", "w.pth", "b" * 64, SETTINGS | {"dtype": "float32"})
    differing = " ".join(again.differences(other))
    assert "weights 'X-101.pth' there, 'w.pth' now" in differing
    assert "dtype" in differing
    assert read_manifest(tmp_path / "none.json") is None
    for text in ("{", "[]", '{"extractor": "x"}'):
        (tmp_path / "m.json").write_text(text)
        with pytest.raises(InputError, match="no readable manifest"):
            read_manifest(tmp_path / "m.json")


def test_notes_name_both_makers():
    stored = {"features": X101.maker}
    assert maker_notes(stored, dict(stored)) == maker_notes({}, {}) == []
    (note,) = maker_notes({}, stored)
    assert "features come from grid: ResNeXt-101 32x8d with X-101.pth (sha256 aaaaaaaaaaaa)" in note
    assert "those of the training from files that do not tell their maker" in note
    finer = Manifest(
        X101.extractor, X101.weights, X101.sha256, {"preprocessing": {"shortest": 300}}
    )
    (note,) = maker_notes(stored, {"features": finer.maker})
    assert "'shortest': 300" in note and "'shortest': 600" in note
    rounded = Manifest(X101.extractor, X101.weights, X101.sha256, SETTINGS | {"dtype": "float32"})
    assert maker_notes(stored, {"features": rounded.maker}) == []  # the same features, stored finer


def test_evaluation_notes_another_extractor(settings, world, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(world / "scenes_precomp", data / "scenes_precomp")
    grids = data / "scenes_precomp" / "grids"
    write_manifest(grids / "manifest.json", X101)
    overrides = [*settings, f"data.root={data}", f"run.out={tmp_path / 'run'}", "train.epochs=1"]
    Run(load_config(ROOT / "configs/scenes_grid.yaml", overrides), False, False).fit(["test"])
    checkpoint = tmp_path / "run" / "model_best.pth"
    assert load_checkpoint(checkpoint).progress["makers"] == {"features": X101.maker}

    def notes(*flags):
        words = ["--checkpoint", checkpoint, "--data_path", data, "--dataset", "scenes", *flags]
        words += ["--workers", "0", "--device", "cpu"]
        eval_script.run(eval_script.parse([str(word) for word in words]))
        return capsys.readouterr().err

    assert notes() == ""
    pack_features.main(["--config", "configs/scenes_grid.yaml", "--workers", "0", *overrides])
    capsys.readouterr()
    assert notes("--features_folder", "grids_packed") == ""  # a pack's maker is its files'
    content = json.loads((grids / "manifest.json").read_text())
    (grids / "manifest.json").write_text(json.dumps(content | {"weights": "random, seed 0"}))
    assert "features come from grid: ResNeXt-101 32x8d with random, seed 0" in notes()
    (grids / "manifest.json").unlink()
    assert "files that do not tell their maker, those of the training from grid" in notes()
