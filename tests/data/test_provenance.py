"""What made features is written, kept with the weights, and compared when they are scored."""

import json
import shutil

import pytest

import eval as eval_script
from lib.checkpoint import load_checkpoint
from lib.config import load_config
from lib.data.provenance import Provenance, mismatches, read_provenance, write_provenance
from lib.errors import InputError
from lib.training.loop import Run
from scripts import pack_features
from tests.support import ROOT

SETTINGS = {"preprocessing": {"shortest": 600, "mean": (1.0, 2.0)}, "dtype": "float16"}
X101 = Provenance("grid: ResNeXt-101 32x8d", "X-101.pth", "a" * 64, SETTINGS)


def test_manifests_come_back_and_are_compared_as_json_keeps_them(tmp_path):
    write_provenance(tmp_path / "m.json", X101)
    again = read_provenance(tmp_path / "m.json")
    assert again.differences(X101) == []
    assert again.extracted_by() == X101.extracted_by()
    assert again.versions["torch"]
    other = Provenance(
        "grid: ResNeXt-101 32x8d", "w.pth", "b" * 64, SETTINGS | {"dtype": "float32"}
    )
    differing = " ".join(again.differences(other))
    assert "weights 'X-101.pth' there, 'w.pth' now" in differing
    assert "dtype" in differing
    assert read_provenance(tmp_path / "none.json") is None
    for text in ("{", "[]", '{"extractor": "x"}'):
        (tmp_path / "m.json").write_text(text)
        with pytest.raises(InputError, match="not a readable manifest"):
            read_provenance(tmp_path / "m.json")


def test_notes_name_both_makers():
    stored = {"features": X101.extracted_by()}
    assert mismatches(stored, dict(stored)) == mismatches({}, {}) == []
    (note,) = mismatches({}, stored)
    assert "features come from grid: ResNeXt-101 32x8d with X-101.pth (sha256 aaaaaaaaaaaa)" in note
    assert "but the model was trained on those of files without provenance" in note
    finer = Provenance(
        X101.extractor, X101.weights, X101.sha256, {"preprocessing": {"shortest": 300}}
    )
    (note,) = mismatches(stored, {"features": finer.extracted_by()})
    assert "'shortest': 300" in note and "'shortest': 600" in note
    rounded = Provenance(X101.extractor, X101.weights, X101.sha256, SETTINGS | {"dtype": "float32"})
    assert (
        mismatches(stored, {"features": rounded.extracted_by()}) == []
    )  # the same features, stored finer


def test_evaluation_notes_another_extractor(settings, world, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(world / "scenes_precomp", data / "scenes_precomp")
    grids = data / "scenes_precomp" / "grids"
    write_provenance(grids / "manifest.json", X101)
    overrides = [*settings, f"data.root={data}", f"run.out={tmp_path / 'run'}", "train.epochs=1"]
    Run(load_config(ROOT / "configs/scenes_grid.yaml", overrides), False, False).fit(["test"])
    checkpoint = tmp_path / "run" / "model_best.pth"
    assert load_checkpoint(checkpoint).progress["extractors"] == {"features": X101.extracted_by()}

    def notes(*flags):
        words = ["--checkpoint", checkpoint, "--data_path", data, "--dataset", "scenes", *flags]
        words += ["--workers", "0", "--device", "cpu"]
        eval_script.main([str(word) for word in words])
        return capsys.readouterr().err

    assert notes() == ""
    pack_features.main(["--config", "configs/scenes_grid.yaml", "--workers", "0", *overrides])
    capsys.readouterr()
    assert notes("--features_folder", "grids_packed") == ""  # a pack has its files' provenance
    content = json.loads((grids / "manifest.json").read_text())
    (grids / "manifest.json").write_text(json.dumps(content | {"weights": "random, seed 0"}))
    assert "features come from grid: ResNeXt-101 32x8d with random, seed 0" in notes()
    (grids / "manifest.json").unlink()
    assert "files without provenance, but the model was trained on those of grid" in notes()


def test_a_manifest_of_other_types_is_damaged(tmp_path):
    write_provenance(tmp_path / "m.json", X101)
    content = json.loads((tmp_path / "m.json").read_text()) | {"settings": [1]}
    (tmp_path / "m.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="settings: Input should be an object"):
        read_provenance(tmp_path / "m.json")


def test_what_is_no_file_is_no_manifest(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="is no regular file, expected a manifest"):
        read_provenance(tmp_path)
    (tmp_path / "m.json").write_text("{}")

    def refused(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "read_bytes", refused)
    with pytest.raises(InputError, match=r"is not a readable manifest .*Permission denied"):
        read_provenance(tmp_path / "m.json")
