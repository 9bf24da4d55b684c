"""Runs on the tiny world whose encodings are kept in a temporary folder."""

import pytest

from lib.config import load_config
from lib.data.pictures import PictureFolder
from lib.display.gallery import Gallery
from lib.evaluation.opened import FeatureChoice, Target
from tests.support import ROOT, fit


@pytest.fixture(scope="session")
def shown_runs(settings, lhsc_settings, tmp_path_factory):
    """Folders of a 3SHNet and an LHSC, two epochs each."""
    found = []
    for name, words in (("region", settings), ("lhsc", lhsc_settings)):
        out = tmp_path_factory.mktemp("shown") / name
        words = [*words, f"run.out={out}"]
        fit(load_config(ROOT / "configs" / f"scenes_{name}.yaml", words))
        found.append(out)
    return found


@pytest.fixture(scope="session")
def galleries(shown_runs, world, tmp_path_factory):
    keep = tmp_path_factory.mktemp("keep")
    target = Target(str(world), "scenes", "test", device="cpu", workers=0)
    return [
        Gallery(run, target, FeatureChoice(), keep / run.name, lambda line: None)
        for run in shown_runs
    ]


@pytest.fixture(scope="session")
def pictures(world):
    return PictureFolder(world / "scenes_precomp" / "images")
