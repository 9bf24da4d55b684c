"""All families side by side on a miniature world, by their one command."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from lib.demo.scenes.files import write_world
from lib.demo.scenes.world import World
from tests.support import fail, succeed

SMALLEST = ("model.img_dim=32", "model.embed_size=32", "train.epochs=1", "train.batch_size=20",
            "run.device=cpu")  # fmt: skip


@pytest.mark.slow
def test_the_families_run_on_a_miniature_world(world, tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    # As many regions as LHSC's config has.
    sizes = World(train=24, dev=8, test=10, regions=24, img_dim=32, map_size=16)
    write_world(sizes, data / "scenes_precomp")
    shutil.copytree(world / "scenes_precomp" / "bert", data / "scenes_precomp" / "bert")
    found = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = os.environ | {"PATH": found, "DATA_PATH": str(data), "OUT": str(out), "SEEDS": "4"}
    command = ("sh", "scripts/families_scenes.sh", *SMALLEST)
    printed = succeed(*command, env=env, timeout=900)
    for title in ("VSE-infinity, region", "3SHNet, region", "3SHNet, grid", "3SHNet, hybrid",
                  "CMSEI I-T", "CMSEI T-I", "CMSEI, both", "LHSC"):  # fmt: skip
        (row,) = (line for line in printed.splitlines() if line.startswith(f"| {title} | ")
                  and line.endswith(" GB |"))  # fmt: skip
        assert row.count("|") == 9
    for count in ("20", "50", "100", "all"):
        counts = [line.split(" | ")[1:2] for line in printed.splitlines()]
        assert counts.count([count]) == 3
    with Image.open(out / "families.png") as picture:
        assert picture.size == (960, 600)
    before = (out / "grid-4" / "model_best.pth").stat().st_mtime_ns
    (tmp_path / "mine.png").write_bytes(b"mine")
    error = fail("python", "benchmarks/families.py", out, "--picture", tmp_path / "mine.png")
    assert "is no picture of this program" in error
    (out / "lhsc-4" / "results.json").unlink()  # as a stop leaves it
    succeed(*command, env=env, timeout=900)
    assert (out / "grid-4" / "model_best.pth").stat().st_mtime_ns == before
