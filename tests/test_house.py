"""The house rules: who imports whom, scripts that run anywhere, no machine's paths."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lib.data.captions import read_captions
from tests.support import ROOT, run, succeed

# Room -> the rooms of lib that it may import; errors and files are everybody's.
MAY_IMPORT = {
    "lib.config": set(),
    "lib.batch": set(),
    "lib.device": set(),
    "lib.data": {"lib.data", "lib.batch", "lib.config"},
    "lib.models": {"lib.models", "lib.batch", "lib.config"},
    "lib.released": {"lib.config"},
    "lib.checkpoint": {"lib.models", "lib.config", "lib.released"},
    "lib.evaluation": {"lib.evaluation", "lib.batch", "lib.data"},
    "lib.training": {
        "lib.training", "lib.evaluation", "lib.checkpoint", "lib.batch", "lib.config", "lib.data",
        "lib.models", "lib.device",
    },
}  # fmt: skip
EVERYBODYS = {"lib.errors", "lib.files"}
SCRIPTS = sorted((ROOT / "scripts").glob("*.sh"))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def room_of(module):
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("path", sorted((ROOT / "lib").rglob("*.py")), ids=str)
def test_rooms_import_whom_they_may(path):
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    room = room_of(module)
    allowed = EVERYBODYS | MAY_IMPORT.get(room, set())
    assert room in MAY_IMPORT or room in ("lib.__init__", *EVERYBODYS), f"{room}: a new room"
    for name in imports(path):
        if name.split(".")[0] in ("lib", "scripts", "tests"):
            assert room_of(name) in allowed, f"{module} imports {name}"


def test_entry_scripts_are_short():
    for name in ("train.py", "eval.py"):
        assert len((ROOT / name).read_text().splitlines()) < 100


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_are_plain_posix(path):
    subprocess.run(["sh", "-n", path], check=True)
    assert path.read_text().startswith("#!/bin/sh\n")


def tracked():
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the list of tracked files")
def test_no_file_carries_a_machines_paths():
    homes = (str(ROOT) + "/", "/" + "home/", "/" + "root/", "/" + "Users/")
    for path in tracked():
        if path.suffix not in (".npz", ".png", ".txt"):
            text = path.read_text(encoding="utf-8")
            assert not any(home in text for home in homes), path


def test_pins_stand_once():
    pins = (ROOT / "requirements.txt").read_text()
    assert "torch==2.11.0" in pins
    for path in (ROOT / "env.yaml", ROOT / "pyproject.toml", *SCRIPTS):
        assert "==2" not in path.read_text(), path
    assert "-r requirements.txt" in (ROOT / "env.yaml").read_text()


@pytest.fixture(scope="module")
def environment():
    """An active environment that has the pins, as scripts/setup.sh finds it."""
    folder = str(Path(sys.executable).parent)
    return os.environ | {"PATH": folder + os.pathsep + os.environ["PATH"]}


def test_setup_uses_an_active_environment_as_it_is(environment):
    command = ("sh", "-c", '. scripts/setup.sh; echo "$PYTHON"')
    assert succeed(*command, env=environment).strip() == "python"


def test_setup_says_what_it_needs(tmp_path):
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "dirname"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    done = run("sh", "scripts/setup.sh", cwd=tmp_path, env={"PATH": str(tmp_path / "bin")})
    assert done.returncode == 1
    assert "no Python 3.10 or newer" in done.stderr


@pytest.fixture(scope="module")
def miniature(tmp_path_factory, world):
    """COCO's and Flickr30K's files at their real sizes, but ten images a split."""
    root = tmp_path_factory.mktemp("miniature")
    generator = np.random.default_rng(0)
    lines = read_captions(world / "scenes_precomp" / "train_caps.txt")[:50]
    for dataset, test in (("coco_precomp", "testall"), ("f30k_precomp", "test")):
        folder = root / dataset
        folder.mkdir()
        for split in ("train", "dev", test):
            np.save(folder / f"{split}_ims.npy", generator.random((10, 36, 2048), np.float32))
            shares = generator.random((10, 133, 7, 7), np.float32)
            np.save(folder / f"{split}_segmentations.npy", shares)
            maps = generator.integers(0, 133, (10, 64, 64)).astype(np.float32)
            np.save(folder / f"{split}_seg_maps.npy", maps)
            present = (generator.random((10, 133)) < 0.1).astype(np.float32)
            np.save(folder / f"{split}_cat_onehots.npy", present)
            (folder / f"{split}_caps.txt").write_text("\n".join(lines) + "\n")
            (folder / f"{split}_ids.txt").write_text("".join(f"{i}\n" for i in range(10)))
    return root


@pytest.mark.parametrize("dataset", ["coco", "f30k"])
def test_region_scripts_run_on_a_miniature_of_the_real_files(
    dataset, miniature, world, environment, tmp_path
):
    bert = world / "scenes_precomp" / "bert"
    env = environment | {"DATA_PATH": str(miniature), "CUDA_VISIBLE_DEVICES": ""}
    succeed(
        "sh", f"scripts/train_region_{dataset}.sh", f"model.bert={bert}", "train.epochs=1",
        "train.batch_size=16", "data.workers=0", f"run.out={tmp_path}", env=env,
    )  # fmt: skip
    env["CHECKPOINT"] = str(tmp_path / "model_best.pth")
    printed = succeed("sh", f"scripts/eval_region_{dataset}.sh", "--workers", "0", env=env)
    assert ("5 folds of 2" if dataset == "coco" else "test, 10 images") in printed


def test_the_demo_runs_on_a_miniature_world(world, settings, environment, tmp_path):
    out = tmp_path / "demo"
    env = environment | {"DATA_PATH": str(world), "OUT": str(out)}
    printed = succeed("sh", "scripts/demo.sh", *settings, env=env)
    assert "test, 10 images" in printed
    for name in ("retrieval.png", "results.npz", "embeddings.npz", "results.json", "tensorboard"):
        assert (out / name).exists()


@pytest.mark.slow
def test_the_ablation_runs_on_a_miniature_world(world, settings, environment, tmp_path):
    env = environment | {"DATA_PATH": str(world), "OUT": str(tmp_path), "SEEDS": "4"}
    printed = succeed("sh", "scripts/ablation_scenes.sh", *settings, env=env)
    rows = [line for line in printed.splitlines() if line.startswith(("| 3SHNet", "| without"))]
    assert len(rows) == 5
    assert (tmp_path / "no_vspm-4" / "results.json").exists()
    again = succeed("sh", "scripts/ablation_scenes.sh", *settings, env=env)  # trains nothing
    assert again == printed


def test_the_ablation_table(tmp_path):
    sums = {"full": (500, 510), "no_vsem": (490, 490), "no_vspm": (480, 484)}
    sums |= {"no_branches": (470, 470), "no_segmentation": (400, 402)}
    for name, values in sums.items():
        for seed, value in enumerate(values):
            (tmp_path / f"{name}-{seed}").mkdir()
            text = f'{{"results": [{{"rsum": {value}}}]}}'
            (tmp_path / f"{name}-{seed}" / "results.json").write_text(text)
    printed = succeed("python", "scripts/ablation_table.py", tmp_path)
    assert "| 3SHNet | 505.0 | 7.1 | 500.0, 510.0 |" in printed
    assert "| without any segmentation (VSE-infinity) | 401.0 | 1.4 | 400.0, 402.0 |" in printed


def test_the_retrieval_picture(tmp_path, world):
    from PIL import Image

    data = world / "scenes_precomp"
    ids = (data / "test_ids.txt").read_text().split()
    images = np.eye(10, dtype=np.float32)
    captions = images.repeat(5, axis=0)
    captions[:5] = images[3]  # the first picture's sentences are mistaken for the fourth's
    np.savez(tmp_path / "e.npz", images=images, captions=captions, image_ids=np.array(ids))
    command = ("python", "scripts/draw_retrieval.py", "--embeddings", tmp_path / "e.npz")
    succeed(*command, "--data", data, "--out", tmp_path / "r.png", "--queries", "10")
    pixels = np.array(Image.open(tmp_path / "r.png").convert("RGB")).reshape(-1, 3)
    green, red = ((pixels == colour).all(axis=1).sum() for colour in ((30, 150, 60), (205, 45, 45)))
    assert red > green > 1000  # of five results per query one is right at most
