"""benchmarks/highlights.py: gates and attention in figures, and what wrong input costs."""

import re

import pytest

from benchmarks import highlights
from lib.config import load_config
from tests.support import ROOT, fit


@pytest.fixture(scope="module")
def trained(settings, tmp_path_factory):
    words = [*settings, f"run.out={tmp_path_factory.mktemp('run')}", "train.epochs=1"]
    return fit(load_config(ROOT / "configs" / "scenes_region.yaml", words))


def test_it_prints_its_figures(trained, world, capsys):
    path = str(trained.run_dir.best)
    highlights.main([path, "--data_path", str(world), "--dataset", "scenes"])
    printed = capsys.readouterr().out
    assert re.search(r"VSeM's agreement: mean 0\.\d+, from", printed)
    assert re.search(r"entropy \d\.\d\d of 5\.55; two regions differ by", printed)
    assert printed.count("rSum with another picture's") == 4


def test_what_it_cannot_probe(config, world):
    run = fit(config("model.segmentation=false", "train.epochs=1"))
    with pytest.raises(SystemExit) as left:
        highlights.main([str(run.run_dir.best), "--data_path", str(world), "--dataset", "scenes"])
    assert "is no 3SHNet that reads segmentation" in left.value.code
