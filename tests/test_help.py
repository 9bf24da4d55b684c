"""``-h`` of every program and script: an example, every option explained, every default told."""

import argparse
import importlib
import re
import subprocess

import pytest

from tests.support import ROOT

SHELL = sorted(path.name for path in (ROOT / "scripts").glob("*.sh"))
PROGRAMS = ["train", "eval", "eval_ensemble", "eval_cross_ensemble"]
PROGRAMS += [f"scripts.{path.stem}" for path in sorted((ROOT / "scripts").glob("*.py"))]
PROGRAMS += [
    f"benchmarks.{path.stem}"
    for path in sorted((ROOT / "benchmarks").glob("*.py"))
    if "__main__" in path.read_text()
]
PROGRAMS += ["lib.demo.scenes.__main__", "lib.demo.small_bert", "lib.demo.both"]
PROGRAMS += ["tests.mutants.__main__", "benchmarks.gpu.__main__"]
PROGRAMS += [f"benchmarks.gpu.{name}" for name in ("steps", "evaluation", "parity", "resume")]
NO_OPTIONS = {"scripts.launch"}  # its arguments are torchrun's


class Asked(Exception):
    """A program has made its parser."""


def parser_of(name, monkeypatch):
    """The parser that a program parses its command line with."""

    def asked(self, *_, **__):
        raise Asked(self)

    for method in ("parse_args", "parse_intermixed_args"):
        monkeypatch.setattr(argparse.ArgumentParser, method, asked)
    with pytest.raises(Asked) as found:
        importlib.import_module(name).main()
    return found.value.args[0]


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in NO_OPTIONS])
def test_a_program_explains_itself(name, monkeypatch):
    parser = parser_of(name, monkeypatch)
    printed = parser.format_help()
    module = name.removesuffix(".__main__")
    programs = (f"{name.replace('.', '/')}.py", f"-m {module}", "sh scripts/")
    examples = [line for line in parser.description.splitlines() if not line.startswith(" ")]
    assert any(line.startswith(("python ", "torchrun ", "sh ")) for line in examples), printed
    assert any(program in parser.description for program in programs), printed
    for action in parser._actions:
        if action.help == argparse.SUPPRESS:
            continue
        option = action.option_strings[-1] if action.option_strings else action.dest
        assert action.help and len(action.help.split()) > 2, f"{name} {option}: {action.help!r}"
        if action.option_strings and action.default not in (None, False, argparse.SUPPRESS):
            told = parser.formatter_class("x")._expand_help(action)
            assert "default" in told, f"{name} {option}: {told}"
        optional = action.option_strings and not action.required and action.default is None
        if optional and option not in WITHOUT_DEFAULT and action not in grouped(parser):
            assert re.search(r"\bdefault: ", action.help), f"{name} {option}: {action.help}"


# What is simply not done, given or written without the option.
WITHOUT_DEFAULT = {
    "--json", "--save_results", "--save_embeddings", "--shortlist", "--first_stage", "--html",
    "--config", "--bert", "--query", "--checkpoint", "--list", "--minutes", "--picture", "--split",
    "--ci", "--benchmarks", "--benchmark_files", "--perturb",
    "--dataset", "--boxes", "--labels", "--png", "--embeddings", "--images", "--mapping", "--lists",
    "--only",
}  # fmt: skip


def grouped(parser):
    """Options of which one is needed."""
    return [
        action for group in parser._mutually_exclusive_groups for action in group._group_actions
    ]


@pytest.mark.parametrize("name", SHELL)
@pytest.mark.parametrize("word", ["-h", "--help"])
def test_a_script_prints_its_head(name, word, tmp_path):
    """From any folder, and nothing is made."""
    done = subprocess.run(
        ["sh", ROOT / "scripts" / name, word], cwd=tmp_path, capture_output=True, text=True,
        timeout=20, check=True,
    )  # fmt: skip
    lines = (ROOT / "scripts" / name).read_text().splitlines()[1:]
    head = [line[2:] for line in lines[: next(i for i, x in enumerate(lines) if x[:1] != "#")]]
    assert "\n".join(head) in done.stdout
    assert done.stderr == ""
    assert not any(len(line) > 100 for line in done.stdout.splitlines())
    assert list(tmp_path.iterdir()) == []


def test_launch_prints_what_it_is():
    for words in ([], ["-h"]):
        done = subprocess.run(
            ["python", "scripts/launch.py", *words], cwd=ROOT, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        assert "python scripts/launch.py --standalone --nproc_per_node 4 train.py" in done.stdout
