"""scripts/fine_tune_config.py: a config that trains, and what the shell asks it."""

import pytest

from lib.checkpoint import load_checkpoint, save_checkpoint
from lib.config import load_config
from scripts import fine_tune_config
from tests.support import fit


@pytest.fixture
def best(config):
    return fit(config("train.epochs=1", "train.lr=1e-3")).run_dir.best


def made_by(path, extractor):
    """The same checkpoint, on features that ``extractor`` made."""
    checkpoint = load_checkpoint(path)
    about = {"extractor": extractor, "weights": "w", "sha256": None, "preprocessing": None}
    checkpoint.progress["extractors"] = {"features": about}
    save_checkpoint(path, checkpoint)


def test_the_config_trains_from_the_checkpoint(best, settings, tmp_path):
    out = tmp_path / "f.yaml"
    words = ["--checkpoint", str(best), "--dataset", "scenes", "--out", str(out)]
    fine_tune_config.main(words)
    fine_tune_config.main(words)  # the same again
    fine_tune_config.main(["--checkpoint", str(best.parent), *words[2:]])  # by its run's folder
    data = next(word for word in settings if word.startswith("data.root="))
    run = fit(load_config(out, [data, f"run.out={tmp_path / 'tuned'}", "train.epochs=1"]))
    assert run.config.train.init == str(best)
    assert run.config.train.lr == pytest.approx(1e-4)
    assert run.config.model == load_checkpoint(best).config.model
    assert "starts from the weights of" in run.run_dir.log.read_text()
    out.write_bytes(b"\xff mine")
    with pytest.raises(SystemExit) as left:
        fine_tune_config.main(words)
    assert "f.yaml: is there with another content" in left.value.code
    assert out.read_bytes() == b"\xff mine"


@pytest.mark.parametrize(
    ("extractor", "expected"),
    [
        ("regions: boxes of a file, timm:tf_efficientnet_lite2", "timm:tf_efficientnet_lite2"),
        ("regions: Faster R-CNN, ResNeXt-101 32x8d", "resnext101_32x8d"),
        ("regions: Faster R-CNN, resnet50", "resnet50"),
    ],
)
def test_what_made_the_features(best, capsys, extractor, expected):
    made_by(best, extractor)
    fine_tune_config.main(["--checkpoint", str(best), "--print"])
    assert capsys.readouterr().out == f"region 36 {expected}\n"


def test_a_grid_of_all_cells(best, capsys):
    made_by(best, "grid: timm:test_vit")
    checkpoint = load_checkpoint(best)
    update = {"type": "grid", "folder": "grids", "grid_size": None}
    features = checkpoint.config.features.model_copy(update=update)
    checkpoint.config = checkpoint.config.model_copy(update={"features": features})
    save_checkpoint(best, checkpoint)
    fine_tune_config.main(["--checkpoint", str(best), "--print"])
    assert capsys.readouterr().out == "grid all timm:test_vit\n"


def test_features_that_nobody_can_make_again(best):
    for extractor in (None, "regions: bottom-up attention"):
        if extractor:
            made_by(best, extractor)
        with pytest.raises(SystemExit) as left:
            fine_tune_config.main(["--checkpoint", str(best), "--print"])
        assert "what made its features" in left.value.code
