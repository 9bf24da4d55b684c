"""The house rules: who imports whom, where a family may be named, no machine's paths."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from lib.models import FAMILIES
from tests.support import ROOT

# Room -> the rooms of lib that it may import; the rooms below all others are everybody's.
EVERYBODYS = {"errors", "files", "device", "batch", "weights", "outputs", "arguments"}
MAY_IMPORT = {
    "distributed": set(),
    "jobs": set(),
    "share": set(),
    "models": {"models", "distributed"},
    "config": {"models"},
    "data": {"data", "config", "models"},
    "checkpoint": {"config", "models", "portable"},
    "portable": {"config", "models"},
    "released_checkpoint": {"checkpoint", "config", "models"},
    "evaluation": {
        "evaluation", "checkpoint", "portable", "data", "config", "models", "distributed", "share",
    },
    "annotations": {"annotations", "data", "extraction"},
    "extraction": {"extraction", "data", "models", "share"},
    "demo": {"demo", "data", "jobs"},
    "display": {
        "display", "extraction", "evaluation", "checkpoint", "data", "config", "models",
    },
    "retriever": {"evaluation", "checkpoint", "data", "config", "models"},
    "training": {
        "training", "evaluation", "checkpoint", "data", "config", "models", "distributed",
    },
}  # fmt: skip
BELOW = {
    "weights": {"errors", "files"},
    "files": {"errors"},
    "device": {"errors"},
    "outputs": {"errors", "files", "share"},
}
LIB = sorted((ROOT / "lib").rglob("*.py"))
SCRIPTS = sorted((ROOT / "scripts").glob("*.sh"))
# Programs may parse arguments; the released container and its reader hold a Namespace as data.
ARGPARSE = {"arguments.py", "weights.py", "checkpoint.py", "released_checkpoint.py"}
ARGPARSE |= {"evaluation/extra_arguments.py"}
ARGPARSE |= {f"{room}/arguments.py" for room in ("display", "evaluation", "extraction")}


def imports(path):
    """(module, names) of each import."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module, [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)


def room_of(path):
    return path.relative_to(ROOT / "lib").with_suffix("").parts[0]


@pytest.mark.parametrize("path", LIB, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_whom_they_may(path):
    room = room_of(path)
    if room == "__init__":
        return
    allowed = BELOW.get(room, set()) if room in EVERYBODYS else EVERYBODYS | MAY_IMPORT[room]
    for module, names in imports(path):
        top, *inner = module.split(".")
        assert top not in ("scripts", "tests", "benchmarks"), module
        if top == "lib":
            assert (inner or names)[0] in allowed, f"{path} imports {module}"


@pytest.mark.parametrize("name", FAMILIES)
def test_no_family_imports_a_family(name):
    mine = {f"lib.models.{name}", "lib.models.common", "lib.models.family"}
    for path in (ROOT / "lib" / "models" / name).glob("*.py"):
        for module, names in imports(path):
            if module == "lib.models":
                assert names == ["family"], f"{path} imports {names}"
            elif module.startswith("lib.models."):
                assert ".".join(module.split(".")[:3]) in mine, f"{path} imports {module}"


def test_a_family_is_named_in_its_folder_and_the_registry_alone():
    """Rows of published figures aside, which are data."""
    families = re.compile(r"(?i:cmsei|lhsc|threeshnet|3shnet|siglip)|\bCLIP\b")
    for path in LIB:
        inside = path.relative_to(ROOT / "lib").parts
        if inside[0] == "models" and (inside[1] in FAMILIES or inside[1] == "__init__.py"):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert not families.search(line), f"{path}:{number}: {line.strip()}"


def test_nothing_above_the_models_assumes_bert():
    for path in LIB:
        if room_of(path) in ("training", "evaluation", "data", "checkpoint", "config"):
            for module, names in imports(path):
                assert "transformers" not in module, f"{path} imports {module}"
                assert not module.endswith(".bert"), f"{path} imports {names} of {module}"
            told = [
                line for line in path.read_text().splitlines() if re.search(r"(?i)\bbert", line)
            ]
            assert told == [], path


def test_arguments_end_at_the_programs():
    found = {
        str(path.relative_to(ROOT / "lib"))
        for path in LIB
        if any(module == "argparse" for module, _ in imports(path))
    }
    assert found == ARGPARSE


# Modules whose tests stand elsewhere: settings with those of the config, a world as a whole.
TESTED_IN = {
    "models/threeshnet/config.py": "test_config.py",
    "models/cmsei/config.py": "test_config.py",
    "models/lhsc/config.py": "test_config.py",
    "models/clip/config.py": "models/clip/test_model.py",
    "annotations/caption_table.py": "scripts/test_prepare_captions.py",
    "annotations/karpathy.py": "scripts/test_prepare_captions.py",
    "annotations/coco_instances.py": "scripts/test_convert_instances.py",
    "data/layouts.py": "data/test_feature_files.py",
    "display/search_page.py": "evaluation/test_search.py",
    "display/thumbnail.py": "display/test_report.py",
    "evaluation/table_formats.py": "evaluation/test_report.py",
    "evaluation/extra_arguments.py": "evaluation/test_extras.py",
    "evaluation/comparison_table.py": "scripts/test_compare.py",
    "released_checkpoint.py": "models/threeshnet/test_released.py",
    "evaluation/benchmark_files.py": "evaluation/test_benchmarks.py",
    "evaluation/model_card.py": "scripts/test_push_to_hub.py",
    "evaluation/index_folder.py": "evaluation/test_vector_index.py",
    "evaluation/cross_dataset.py": "test_eval_cross_ensemble.py",
    "extraction/arguments.py": "test_help.py",
}


def test_tests_mirror_lib():
    for path in LIB:
        module = path.relative_to(ROOT / "lib")
        if module.name != "__init__.py":
            test = module.with_name(f"test_{module.name}")
            if "scenes" in module.parts:
                test = Path("demo/test_scenes.py")
            assert (ROOT / "tests" / TESTED_IN.get(str(module), test)).is_file(), module


def test_entry_scripts_are_short():
    for name in ("train.py", "eval.py", "eval_ensemble.py", "eval_cross_ensemble.py"):
        assert len((ROOT / name).read_text().splitlines()) < 120


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
        if path.suffix not in (".npz", ".png", ".jpg", ".txt"):
            text = path.read_text(encoding="utf-8")
            assert not any(home in text for home in homes), path


def test_pins_stand_once():
    pins = (ROOT / "requirements.txt").read_text()
    assert "torch==2.11.0" in pins
    for path in (ROOT / "env.yaml", ROOT / "pyproject.toml", *SCRIPTS):
        assert "==2" not in path.read_text(), path
    assert "-r requirements.txt" in (ROOT / "env.yaml").read_text()
