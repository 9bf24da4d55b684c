"""The shell scripts and commands that a reader types, on miniatures of the real files."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lib.data.captions import read_captions
from lib.evaluation.records import read_record
from tests.support import ROOT, fail, run, succeed

SCRIPTS = sorted((ROOT / "scripts").glob("*.sh"))


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


def write_grids(folder, ids, suffix, generator):
    """Grids as grid-feats-vqa publishes them, or (H, W, C) arrays; every picture its own size."""
    folder.mkdir()
    for i in ids:
        height, width = 15 + i % 5, 19 - i % 3
        if suffix == ".pth":
            torch.save(torch.rand(1, 2048, height, width), folder / f"{i}.pth")
        else:
            cells = generator.random((height, width, 2048), np.float32)
            np.save(folder / f"{i}.npy", cells.astype(np.float16))


@pytest.fixture
def miniature(tmp_path, world):
    """COCO's and Flickr30K's files at their real sizes, but ten images a split."""
    generator = np.random.default_rng(0)
    lines = read_captions(world / "scenes_precomp" / "train_caps.txt")[:50]

    def make(dataset, suffix):
        folder = tmp_path / f"{dataset}_precomp"
        folder.mkdir()
        test = "testall" if dataset == "coco" else "test"
        for number, split in enumerate(("train", "dev", test)):
            np.save(folder / f"{split}_ims.npy", generator.random((10, 36, 2048), np.float32))
            shares = generator.random((10, 133, 7, 7), np.float32)
            np.save(folder / f"{split}_segmentations.npy", shares)
            maps = generator.integers(0, 133, (10, 64, 64)).astype(np.float32)
            np.save(folder / f"{split}_seg_maps.npy", maps)
            present = (generator.random((10, 133)) < 0.1).astype(np.float32)
            np.save(folder / f"{split}_cat_onehots.npy", present)
            corners = np.sort(generator.random((10, 36, 2, 2), np.float32), axis=2)
            np.save(folder / f"{split}_ims_bbx.npy", 400 * corners.reshape(10, 36, 4))
            related = generator.random((10, 36, 36)) < 0.1
            np.save(folder / f"{split}_rels.npy", related)
            (folder / f"{split}_caps.txt").write_text("\n".join(lines) + "\n")
            ids = range(10 * number, 10 * number + 10)
            (folder / f"{split}_ids.txt").write_text("".join(f"{i}\n" for i in ids))
        write_grids(folder / "grids", range(30), suffix, generator)
        (folder / "images").mkdir()
        for i in range(30):
            noise = generator.integers(0, 255, (40, 50, 3), np.uint8)
            name = f"COCO_val2014_{i:012d}" if dataset == "coco" else f"{i}"
            Image.fromarray(noise).save(folder / "images" / f"{name}.jpg")

    make("coco", ".pth")
    make("f30k", ".npy")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["f30k", "coco"])
def test_every_script_runs_on_a_miniature_of_the_real_files(dataset, miniature, world, environment):
    bert = world / "scenes_precomp" / "bert"
    trained = ("region", "grid", "vse_infinity_region", "vse_infinity_grid")
    runs = {kind: miniature / "runs" / kind for kind in (*trained, "hybrid", "cross")}
    env = environment | {"DATA_PATH": str(miniature), "CUDA_VISIBLE_DEVICES": ""}
    protocol = "5 folds of 2" if dataset == "coco" else "test, 10 images"
    small = ["model.backbone=resnet18", "model.backbone_weights=random", "model.img_dim=512"]
    sizes = {"vse_infinity_grid": [*small, "features.image_size=64"]}
    titles = {
        "vse_infinity_grid": "VSE-infinity images",
        "vse_infinity_region": "VSE-infinity region",
    }
    for kind in trained:
        succeed(
            "sh", f"scripts/train_{kind}_{dataset}.sh", f"model.bert={bert}", "train.epochs=1",
            "train.batch_size=16", "data.workers=0", f"run.out={runs[kind]}",
            *sizes.get(kind, []), env=env,
        )  # fmt: skip
        checkpoint = {"CHECKPOINT": str(runs[kind] / "model_best.pth")}
        command = ("sh", f"scripts/eval_{kind}_{dataset}.sh", "--workers", "0")
        printed = succeed(*command, env=env | checkpoint)
        assert protocol in printed
        assert f"{titles.get(kind, f'3SHNet {kind}')} on {dataset}" in printed
    scores = {kind.upper(): str(runs[kind] / "results.safetensors") for kind in ("region", "grid")}
    env["OUT"] = str(runs["hybrid"])
    printed = succeed("sh", f"scripts/eval_hybrid_{dataset}.sh", env=env | scores)
    assert protocol in printed
    assert "hybrid of 2" in printed
    if dataset == "coco":
        env["OUT"] = str(runs["cross"])
        weights = {kind.upper(): str(runs[kind] / "model_best.pth") for kind in ("region", "grid")}
        command = ("sh", "scripts/eval_cross_f30k.sh", "--workers", "0")
        printed = succeed(*command, env=env | weights)
        assert "trained on coco, scored on f30k" in printed
        assert "hybrid of 2" in printed
    written = [run for run in runs.values() if run.exists()]
    printed = succeed(
        "python", "scripts/results_table.py", "--format", "markdown", *written, env=env
    )
    # coco: two protocols and the crossing; f30k: its one.
    expected = 3 if dataset == "coco" else 1
    assert printed.count("| region + grid | ensemble of 2 |") == expected


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["coco", "f30k"])
def test_the_scripts_of_cmsei_run_on_a_miniature(dataset, miniature, world, environment):
    bert = world / "scenes_precomp" / "bert"
    runs = {kind: miniature / "runs" / kind for kind in ("i2t", "t2i", "cmsei")}
    env = environment | {"DATA_PATH": str(miniature), "CUDA_VISIBLE_DEVICES": ""}
    protocol = "5 folds of 2" if dataset == "coco" else "test, 10 images"
    for direction in ("i2t", "t2i"):
        succeed(
            "sh", f"scripts/train_cmsei_{direction}_{dataset}.sh", f"model.bert={bert}",
            "train.epochs=1", "train.batch_size=10", "data.workers=0", "model.embed_size=64",
            f"run.out={runs[direction]}", env=env,
        )  # fmt: skip
    weights = {k.upper(): str(runs[k] / "model_best.pth") for k in ("i2t", "t2i")}
    command = ("sh", f"scripts/eval_cmsei_{dataset}.sh", "--workers", "0")
    printed = succeed(*command, env=env | weights | {"OUT": str(runs["cmsei"])})
    assert protocol in printed
    assert "ensemble of 2" in printed
    printed = succeed(
        "python", "scripts/results_table.py", "--format", "markdown", *runs.values(), env=env
    )
    for row in ("| CMSEI I-T | region | single |", "| CMSEI | region | ensemble of 2 |"):
        assert row in printed


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["coco", "f30k"])
def test_the_scripts_of_lhsc_run_on_a_miniature(dataset, miniature, environment):
    out = miniature / "runs" / "lhsc"
    env = environment | {"DATA_PATH": str(miniature), "CUDA_VISIBLE_DEVICES": ""}
    train = ("sh", f"scripts/train_lhsc_{dataset}.sh", "train.epochs=1", "train.batch_size=20")
    succeed(*train, "data.workers=0", "model.embed_size=64", f"run.out={out}", env=env)
    command = ("sh", f"scripts/eval_lhsc_{dataset}.sh", "--workers", "0")
    printed = succeed(*command, env=env | {"CHECKPOINT": str(out / "model_best.pth")})
    assert ("5 folds of 2" if dataset == "coco" else "test, 10 images") in printed
    assert f"LHSC region on {dataset}" in printed
    released = miniature / "model_best.pth.tar"
    succeed("python", "scripts/convert_checkpoint.py", out / "model_best.pth", released)
    words = miniature / f"{dataset}_precomp_vocab.json"
    (miniature / "vocab").mkdir()
    words.rename(miniature / "vocab" / words.name)
    again = succeed("sh", "scripts/eval.sh", f"{dataset}_lhsc", released, "--workers", "0", env=env)
    figures = [next(x for x in text.splitlines() if "10 images " in x) for text in (again, printed)]
    assert figures[0] == figures[1]
    other = "f30k" if dataset == "coco" else "coco"
    crossing = ("python", "eval_cross_ensemble.py", "--checkpoints", released, "--data_path")
    printed = succeed(*crossing, miniature, "--dataset", other, "--workers", "0", env=env)
    assert f"trained on {dataset}, scored on {other} without tuning" in printed


@pytest.mark.slow
def test_the_ablation_of_cmsei_runs_on_a_miniature_world(
    world, cmsei_settings, environment, tmp_path
):
    rows = ["full", "no_vsg", "no_llii", "clipped", "enhanced", "norm"]
    env = environment | {"DATA_PATH": str(world), "OUT": str(tmp_path), "SEEDS": "4"}
    env["ROWS"] = " ".join(rows)
    settings = [*cmsei_settings, "train.epochs=1"]
    printed = succeed("sh", "scripts/ablation_cmsei_scenes.sh", *settings, env=env)
    for title in ("CMSEI without VSG", "CMSEI I-T without LLII", "CMSEI T-I without VSG"):
        assert printed.count(f"\n{title}, region, ") == 1, printed
    for setting in ("model.attention=clipped_l2norm", "model.global_from=enhanced"):
        assert printed.count(setting) >= 3, printed  # both versions and their mean
    error = fail("sh", "scripts/ablation_cmsei_scenes.sh", env=env | {"ROWS": "other"})
    assert "--rows names other" in error


@pytest.mark.slow
def test_the_ablation_of_lhsc_runs_on_a_miniature_world(
    world, lhsc_settings, environment, tmp_path
):
    env = environment | {"DATA_PATH": str(world), "OUT": str(tmp_path), "SEEDS": "4"}
    printed = succeed("sh", "scripts/ablation_lhsc_scenes.sh", *lhsc_settings, env=env)
    for title in ("LHSC of 1 graph layer", "LHSC of 2 graph layers", "LHSC of 3 graph layers",
                  "LHSC without word attention", "LHSC without the global part",
                  "LHSC without the filter", "LHSC on BERT"):  # fmt: skip
        assert printed.count(f"\n{title}, region, ") == 1, printed
    assert printed.count("\nLHSC") == 9
    error = fail("sh", "scripts/ablation_lhsc_scenes.sh", env=env | {"ROWS": "other"})
    assert "--rows names other" in error


def test_the_matrix_is_whole():
    """Every config has its scripts, and every script's config is there."""
    scripts = {path.stem for path in SCRIPTS}
    for dataset in ("coco", "f30k"):
        for kind in ("region", "grid", "vse_infinity_region", "vse_infinity_grid"):
            assert (ROOT / "configs" / f"{dataset}_{kind}.yaml").is_file()
            assert {f"train_{kind}_{dataset}", f"eval_{kind}_{dataset}"} <= scripts
        assert f"eval_hybrid_{dataset}" in scripts
        assert (ROOT / "configs" / f"{dataset}_cmsei.yaml").is_file()
        directions = {f"train_cmsei_{direction}_{dataset}" for direction in ("i2t", "t2i")}
        assert {*directions, f"eval_cmsei_{dataset}"} <= scripts
        assert (ROOT / "configs" / f"{dataset}_lhsc.yaml").is_file()
        assert {f"train_lhsc_{dataset}", f"eval_lhsc_{dataset}"} <= scripts
    assert "eval_cross_f30k" in scripts


@pytest.mark.slow
def test_the_demo_runs_on_a_miniature_world(world, settings, environment, tmp_path):
    data, out = tmp_path / "data", tmp_path / "demo"
    for name in ("scenes_precomp", "scenes_b_precomp"):
        shutil.copytree(world / "scenes_precomp", data / name)
    env = environment | {"DATA_PATH": str(data), "OUT": str(out)}
    overrides = [s for s in settings if not s.startswith("data.root")]
    printed = succeed("sh", "scripts/demo.sh", *overrides, env=env)
    made = (out / "region" / "model_best.pth").stat().st_mtime_ns
    again = succeed("sh", "scripts/demo.sh", *overrides, env=env)
    assert "are done" in again  # and the training is kept
    assert (out / "region" / "model_best.pth").stat().st_mtime_ns == made
    table = printed[printed.index("\nscenes test, 10 images\n") :]
    for row in (", region, single", ", grid, single", ", region + grid, ensemble of 2"):
        assert table.count(f"\n3SHNet{row}") == 2
    assert " ".join(table.split()).count("(cross-dataset)") == 3
    assert (out / "region" / "retrieval.png").exists()
    for kind in ("region", "grid"):
        for name in (
            "results.safetensors",
            "embeddings.safetensors",
            "results.json",
            "tensorboard",
        ):
            assert (out / kind / name).exists()


@pytest.mark.slow
def test_the_demo_at_its_size(environment, tmp_path):
    """The hybrid beats both of its members, and across domains it is about the better one."""
    env = environment | {"DATA_PATH": str(tmp_path / "data"), "OUT": str(tmp_path / "demo")}
    env.pop("OMP_NUM_THREADS", None)  # as a user runs it
    printed = succeed("sh", "scripts/demo.sh", env=env, timeout=1800)
    print(printed[printed.index("\nscenes test") :])
    for name in ("hybrid", "cross"):
        record = read_record(tmp_path / "demo" / name / "results.json")
        sums = [member.results[0].metrics.rsum for member in record.members]
        assert record.results[0].metrics.rsum > max(sums) - (0 if name == "hybrid" else 5)


@pytest.mark.slow
def test_the_ablation_runs_on_a_miniature_world(world, settings, environment, tmp_path):
    env = environment | {"DATA_PATH": str(world), "OUT": str(tmp_path), "SEEDS": "4"}
    printed = succeed("sh", "scripts/ablation_scenes.sh", *settings, env=env)
    for title in ("3SHNet", "3SHNet without VSeM", "3SHNet without VSpM", "VSE-infinity",
                  "3SHNet without VSeM and VSpM"):  # fmt: skip
        assert printed.count(f"\n{title}, region, single ") == 1
    assert (tmp_path / "no_vspm-4" / "results.json").exists()
    again = succeed("sh", "scripts/ablation_scenes.sh", *settings, env=env)  # trains nothing
    assert again == printed[printed.index("scenes test, 10 images\n") :]
