"""Boxes are shares of the picture's sides; cells go row by row."""

import shutil

import numpy as np
import pytest

from lib.data.split import open_split
from lib.display.places import Places


@pytest.fixture
def folder(world, tmp_path):
    shutil.copytree(world / "scenes_precomp", tmp_path / "scenes_precomp")
    return tmp_path / "scenes_precomp"


def places(config, folder, *overrides):
    settings = config(f"data.root={folder.parent}", *overrides)
    return Places(open_split(settings, "test"), settings.features)


def test_boxes_of_regions(config, folder):
    boxes = np.load(folder / "test_ims_bbx.npy")
    found = places(config, folder)
    shares = boxes[3].astype(float) / (224, 112, 224, 112)
    np.testing.assert_allclose(found.of(3, 6, (224, 112)), shares.clip(0, 1))
    np.testing.assert_allclose(found.of(3, 4, (224, 112)), shares[:4].clip(0, 1))
    alone = found.of(3, 6, None)  # without a picture
    assert alone.max() == 1.0
    assert found.of(3, 7, (224, 112)) is None  # more regions than boxes
    (folder / "test_ims_bbx.npy").unlink()
    assert places(config, folder).of(3, 6, (224, 112)) is None


def test_cells_of_grids(config, folder):
    shutil.rmtree(folder / "grids")
    (folder / "grids").mkdir()
    for image_id in (folder / "test_ids.txt").read_text().split():
        np.save(folder / "grids" / f"{image_id}.npy", np.zeros((2, 8, 32), np.float16))
    grid = ["features.type=grid", "features.folder=grids"]
    pooled = places(config, folder, *grid, "features.grid_size=3").of(0, 9, (50, 20))
    np.testing.assert_allclose(pooled[5], [2 / 3, 1 / 3, 1, 2 / 3])
    whole = places(config, folder, *grid, "features.grid_size=null").of(0, 16, (50, 20))
    np.testing.assert_allclose(whole[9], [1 / 8, 1 / 2, 2 / 8, 1])
