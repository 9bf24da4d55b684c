"""Checksums of features, and what scripts/check_data.py says of changed ones."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from lib.data.checksums import append_sum, array_problem, files_problems, read_sums, write_sums
from lib.data.pack import write_pack
from lib.errors import InputError
from lib.files import file_sha256
from tests.support import fail, succeed


def flip(path, place=-1):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


def test_an_array_is_compared_with_its_sidecar(tmp_path):
    array = tmp_path / "train.npy"
    write_pack(array, tmp_path / "train.json", {"a": 1}, (3, 2), "float32",
               lambda first: iter(np.ones((3 - first, 2), np.float32)))  # fmt: skip
    assert json.loads((tmp_path / "train.json").read_text())["content_sha256"] == file_sha256(array)
    assert array_problem(array) is None
    flip(array)
    assert "train.npy: differs from its checksum in train.json" in array_problem(array)
    (tmp_path / "train.json").unlink()
    assert array_problem(array) is None  # nobody knows


def test_files_have_a_line_each(tmp_path):
    for name in ("1.npy", "2.npy"):
        (tmp_path / name).write_bytes(name.encode())
        append_sum(tmp_path / "dev.sha256", name, file_sha256(tmp_path / name))
    subprocess.run(["sha256sum", "--check", "--quiet", "dev.sha256"], cwd=tmp_path, check=True)
    assert files_problems(tmp_path, "dev") == []
    with (tmp_path / "dev.sha256").open("a") as file:
        file.write("0123  half a li")  # of a process that was killed
    sums = read_sums(tmp_path / "dev.sha256")
    assert list(sums) == ["1.npy", "2.npy"]
    write_sums(tmp_path / "dev.sha256", sums)
    assert len((tmp_path / "dev.sha256").read_text().splitlines()) == 2
    flip(tmp_path / "2.npy")
    (tmp_path / "1.npy").unlink()
    assert [line.split(":")[0] for line in files_problems(tmp_path, "dev")] == [
        str(tmp_path / "1.npy"), str(tmp_path / "2.npy")
    ]  # fmt: skip
    assert read_sums(tmp_path / "none.sha256") == {}


@pytest.mark.parametrize("what", ["pack", "array"])
def test_check_data_says_it(world, settings, tmp_path, what):
    data = shutil.copytree(world / "scenes_precomp", tmp_path / "scenes_precomp")
    words = [*settings, f"data.root={tmp_path}"]
    if what == "pack":
        grid = ["features.folder=grids", "--workers", "0", "--splits", "dev"]
        succeed("python", "scripts/pack_features.py", "--config", "configs/scenes_grid.yaml",
                *words, *grid)  # fmt: skip
        words += ["features.folder=grids_packed", "--splits", "dev"]
        path = data / "grids_packed" / "dev.npy"
    else:
        path = data / "dev_ims.npy"
        about = {"extractor": "x", "weights": "w", "sha256": None, "settings": {}}
        about["content_sha256"] = file_sha256(path)
        (data / "dev_ims.manifest.json").write_text(json.dumps(about))
    kind = "grid" if what == "pack" else "region"
    command = ("python", "scripts/check_data.py", "--config", f"configs/scenes_{kind}.yaml")
    assert "all files can be used" in succeed(*command, *words)
    flip(path)
    assert f"{path}: differs from its checksum" in fail(*command, *words)


def test_checksums_that_cannot_be_read(tmp_path):
    (tmp_path / "dev.sha256").mkdir()
    with pytest.raises(InputError, match=r"dev\.sha256: cannot be read"):
        read_sums(tmp_path / "dev.sha256")
