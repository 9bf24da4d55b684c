"""README and docs: links lead somewhere, tables are those of results.csv, commands work."""

import csv
import importlib
import re
import shlex
import sys
from argparse import ArgumentParser

import numpy as np
import pytest

from lib.config import load_config
from lib.evaluation.published import all_rows
from scripts import docs_tables
from tests.support import ROOT, fit

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "data" / "README.md"]
PAGES += [ROOT / "benchmarks" / "RESULTS.md", ROOT / "tests" / "photographs" / "README.md"]
LONGEST = 200  # lines of the README

# Program -> the test that runs it, with the same options but on small files, and the words by which
# it can be found there.
RUN_BY = {
    "scripts/demo.sh": ("scripts/test_shell.py", '"scripts/demo.sh"'),
    "scripts/test.sh": ("../.ci/run", "scripts/test.sh"),  # it runs this very test
    "scripts/test_slow.sh": ("mutants/test_faults.py", "test_slow.sh mutants"),
    "scripts/setup.sh": ("scripts/test_shell.py", '"scripts/setup.sh"'),
    "scripts/own_pictures.sh": ("scripts/test_photographs.py", '"scripts/own_pictures.sh"'),
    "scripts/photographs.sh": ("scripts/test_photographs.py", '"scripts/photographs.sh"'),
    "scripts/flickr8k.sh": ("scripts/test_photographs.py", '"scripts/flickr8k.sh"'),
    "scripts/verify_release.sh": ("scripts/test_verify_release.py", '"scripts/verify_release.sh"'),
    "scripts/train.sh": ("scripts/test_launch.py", '"scripts/train.sh"'),
    "scripts/eval.sh": ("scripts/test_launch.py", '"scripts/eval.sh"'),
    "scripts/slurm.sh": ("scripts/test_launch.py", '"slurm.sh"'),
    "scripts/families_scenes.sh": ("benchmarks/test_programs.py", "families"),
    "scripts/ablation_scenes.sh": ("scripts/test_shell.py", '"scripts/ablation_scenes.sh"'),
    "scripts/ablation_cmsei_scenes.sh": ("scripts/test_shell.py", "ablation_cmsei_scenes.sh"),
    "scripts/ablation_lhsc_scenes.sh": ("scripts/test_shell.py", "ablation_lhsc_scenes.sh"),
    "train.py": ("models/test_family.py", '"train.py"'),
    "eval.py": ("test_eval.py", "eval_script.main"),
    "eval_ensemble.py": ("evaluation/test_ensemble.py", "eval_ensemble"),
    "eval_cross_ensemble.py": ("test_eval_cross_ensemble.py", "eval_cross_ensemble"),
    "scripts/build_index.py": ("evaluation/test_index_builder.py", "program.main"),
    "benchmarks/gpu.sh": ("benchmarks/test_programs.py", '"benchmarks/gpu.sh"'),
    "scripts/search.py": ("evaluation/test_search.py", "search.main"),
    "scripts/explore.py": ("scripts/test_explore.py", "explore"),
    "scripts/draw_highlights.py": ("scripts/test_draw_highlights.py", "draw_highlights.main"),
    "scripts/draw_retrieval.py": ("scripts/test_draw_retrieval.py", "draw_retrieval.main"),
    "scripts/report.py": ("scripts/test_report.py", "report.main"),
    "scripts/ablation.py": ("scripts/test_ablation.py", "ablation.main"),
    "scripts/compare.py": ("scripts/test_compare.py", "compare.main"),
    "scripts/push_to_hub.py": ("scripts/test_push_to_hub.py", "push_to_hub.main"),
    "scripts/results_table.py": ("evaluation/test_results_table.py", "scripts/results_table.py"),
    "scripts/docs_tables.py": ("test_docs.py", "docs_tables.main"),
    "scripts/prepare_captions.py": ("scripts/test_prepare_captions.py", "prepare_captions.main"),
    "scripts/extract_grid.py": ("extraction/test_grid.py", "extract_grid"),
    "scripts/extract_regions.py": ("extraction/test_regions.py", "extract_regions"),
    "scripts/extract_segmentation.py": ("extraction/test_panoptic_model.py", "extract_segm"),
    "scripts/detect_objects.py": ("scripts/test_detect_objects.py", "detect_objects.main"),
    "scripts/convert_panoptic.py": ("extraction/test_label_maps.py", "convert_panoptic.main"),
    "scripts/check_data.py": ("data/test_checksums.py", "check_data"),
    "scripts/pack_features.py": ("scripts/test_pack_features.py", "pack_features.main"),
    "scripts/scene_graph_to_rels.py": ("models/cmsei/test_graphs.py", "scene_graph_to_rels"),
    "scripts/convert_checkpoint.py": ("models/lhsc/test_released.py", "convert"),
    "lib/demo/scenes/__main__.py": ("demo/test_scenes.py", "lib.demo.scenes"),
}
ROWS = ("scripts/test_shell.py", 'f"scripts/train_{kind}_{dataset}.sh"')  # and eval_, and more
# What no test runs; the page says so by these words.
NOT_RUN = {"torchrun": "not run by a test", "sbatch": "stand-ins for"}
# Commands that are run word for word, on a small data set in the places that they name.
LITERAL = [
    "python eval.py --checkpoint runs/mine/grid --save_embeddings "
    "runs/mine/grid/embeddings.safetensors",
    'python scripts/search.py --checkpoint runs/mine/region --query "two dogs on a beach"',
    'python scripts/search.py --checkpoint runs/mine/region --query "two dogs" "a red kite" '
    "--images PICTURES --html found.html",
    "python scripts/draw_highlights.py --run runs/mine/region --images PICTURES --out "
    "highlights.png",
    "python scripts/draw_retrieval.py --run runs/mine/region --images PICTURES --out "
    'retrieved.pdf --query "a red kite"',
    "python scripts/report.py runs/mine/region runs/mine/grid --images PICTURES --out report.html",
    "python eval.py --checkpoint runs/f30k_region --precision bf16",
    "python scripts/results_table.py runs/f30k_region runs/f30k_grid",
    "python scripts/results_table.py runs/f30k_region runs/f30k_grid --format markdown",
    "python scripts/results_table.py runs/f30k_region runs/f30k_grid --paper",
]


def commands(page):
    """The commands of a page, without comments, one string each: those of its shell blocks, and
    those in its lines, but for their parts ("python train.py ... --resume")."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            line = re.sub(r"(^|\s)#.*", "", line).strip()
            yield from filter(None, map(str.strip, line.split(" ; ")))
    lines = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    for command in re.findall(r"`((?:python|sh|bash|torchrun|sbatch) [^`]+)`", lines):
        if "..." not in command:
            yield " ".join(command.split())


ALL = [(page, command) for page in PAGES for command in commands(page)]


def program_of(command):
    """The program of a command, and its arguments."""
    words = [w for w in shlex.split(command)]
    while "=" in words[0] and "/" not in words[0].partition("=")[0]:
        words = words[1:]
    if words[0] in ("sh", "bash", "python"):
        words = words[1:]
    if words[0] == "-m":  # a program of a package
        return f"{words[1].replace('.', '/')}/__main__.py", words[2:]
    return words[0], words[1:]


class Parsed(Exception):
    """A program has taken its command line."""


@pytest.mark.parametrize(
    ("page", "command"), ALL, ids=[f"{page.stem}-{command[:60]}" for page, command in ALL]
)
def test_a_command_is_run_by_a_test_or_named_as_not_run(page, command, monkeypatch):
    program, words = program_of(command)
    text = " ".join(page.read_text(encoding="utf-8").split())
    if program in NOT_RUN:
        assert NOT_RUN[program] in text, f"{page} does not say that nothing runs {command}"
        return
    if "cuda" in words:
        assert "unknown" in text or "never run" in text, f"{page} does not say so of {command}"
    assert (ROOT / program).is_file(), command
    row = re.fullmatch(r"scripts/(train|eval)_(.+)_(coco|f30k)\.sh", program)
    if program.startswith("benchmarks/") and program.endswith(".py"):
        test, found_by = "benchmarks/test_programs.py", f'"{program[11:-3]}"'
    else:
        test, found_by = ROWS if row else RUN_BY[program]
    assert found_by in (ROOT / "tests" / test).read_text(encoding="utf-8"), (program, test)
    if program.endswith(".py"):
        parse = ArgumentParser.parse_known_args

        def parsed(self, *args, **kwargs):
            parse(self, *args, **kwargs)
            raise Parsed

        name = "parse_known_args"
        if "parse_intermixed_args" in (ROOT / program).read_text(encoding="utf-8"):
            name, parse = "parse_known_intermixed_args", ArgumentParser.parse_known_intermixed_args
        monkeypatch.setattr(ArgumentParser, name, parsed)
        monkeypatch.setattr(sys, "argv", [program, *words])
        module = program.removesuffix(".py").replace("/", ".")
        with pytest.raises(Parsed):  # and no usage
            importlib.import_module(module).main()


@pytest.fixture(scope="module")
def sandbox(settings, world, tmp_path_factory):
    """A folder with a data set, its pictures and four runs, where the docs have them."""
    place = tmp_path_factory.mktemp("docs")
    (place / "data").mkdir()
    (place / "data" / "mine_precomp").symlink_to(world / "scenes_precomp")
    (place / "PICTURES").symlink_to(world / "scenes_precomp" / "images")
    (place / "runs" / "mine").mkdir(parents=True)
    (place / "1.npy").symlink_to(next((world / "scenes_precomp" / "grids").glob("*.npy")))
    for kind in ("region", "grid"):
        out = place / "runs" / "mine" / kind
        words = [*settings, f"data.root={place / 'data'}", "data.dataset=mine", f"run.out={out}"]
        fit(load_config(ROOT / "configs" / f"scenes_{kind}.yaml", [*words, "train.epochs=1"]))
        (place / "runs" / f"f30k_{kind}").symlink_to(out)
    return place


def test_commands_work_as_they_stand(sandbox, monkeypatch, capsys):
    monkeypatch.chdir(sandbox)
    written = {" ".join(shlex.split(command)) for _, command in ALL}
    for kind in ("region", "grid"):
        words = ["eval.py", "--checkpoint", f"runs/mine/{kind}", "--json"]
        run_in_process([*words, f"runs/mine/{kind}/results.json"], monkeypatch)
    embeddings = "runs/mine/region/embeddings/test.safetensors"  # as own_pictures.sh makes them
    words = ["eval.py", "--checkpoint", "runs/mine/region", "--save_embeddings", embeddings]
    run_in_process(words, monkeypatch)
    for command in LITERAL:
        words = shlex.split(command)
        assert " ".join(words) in written, f"no page has {command}"
        capsys.readouterr()
        run_in_process(words[1:], monkeypatch)
        assert capsys.readouterr().out, command
    for name in ("found.html", "highlights.png", "retrieved.pdf", "report.html"):
        assert (sandbox / name).stat().st_size > 1000


def run_in_process(words, monkeypatch):
    monkeypatch.setattr(sys, "argv", words)
    importlib.import_module(words[0].removesuffix(".py").replace("/", ".")).main()


def test_the_readmes_python_works(sandbox, world, monkeypatch, capsys):
    """Word for word."""
    monkeypatch.chdir(sandbox)
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGES[0].read_text(), re.S | re.M)
    arrays = {
        short: np.load(world / "scenes_precomp" / f"test_{name}.npy")[0]
        for short, name in (("s", "segmentations"), ("m", "seg_maps"), ("c", "cat_onehots"))
    }
    exec(code, dict(arrays))
    assert capsys.readouterr().out.count(".") >= 2
    assert len([line for line in code.splitlines() if line]) == 5


def anchors(page):
    """What headings of a page can be linked to, as GitHub makes it."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", head).lower() for head in heads)
    return {re.sub(r"[^\w\- ]", "", head).strip().replace(" ", "-") for head in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    for link in links:
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"
    # Files that are named and not linked.
    for name in re.findall(r"`((?:docs|lib|scripts|benchmarks|tests|configs)/[\w/.]+\.\w+)`", text):
        assert (ROOT / name).exists(), f"{page.name}: {name}"


def test_the_readme_is_short():
    assert len(PAGES[0].read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_every_page_is_linked_from_the_readme_or_a_page_of_it():
    linked = " ".join(page.read_text(encoding="utf-8") for page in PAGES)
    for page in (ROOT / "docs").iterdir():
        assert f"{page.name})" in linked or f'docs/{page.name}"' in linked or page.name in linked


def test_tables_are_those_of_the_csv():
    docs_tables.main(["--check"])


def test_a_table_that_differs_is_told_and_written():
    rows = docs_tables.read_results()
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert docs_tables.filled(text.replace("538.0", "583.0"), rows) == text
    with pytest.raises(ValueError, match="has no row for"):
        docs_tables.table("published | model | model=none", rows)
    with pytest.raises(ValueError, match="has no column colour"):
        docs_tables.table("published | colour", rows)
    with pytest.raises(ValueError, match="has no column colour"):
        docs_tables.table("published | model | colour=red", rows)
    with pytest.raises(ValueError, match="names no columns"):
        docs_tables.table("published", rows)


def test_every_row_tells_its_source_and_every_published_one_is_there():
    rows = docs_tables.read_results()
    assert len(rows) > 100
    for row in rows:
        assert row["source"] and row["kind"] in ("published", "measured"), row
        ours = row["kind"] == "measured"
        assert ours == bool(row["command"]) == bool(row["machine"]) == bool(row["seeds"]), row
        figures = [row[name] for name in row if name.startswith(("i2t", "t2i", "rSum"))]
        assert any(figures), row
        recalls = [row[f"{side} R@{k}"] for side in ("i2t", "t2i") for k in (1, 5, 10)]
        if all(recalls) and row["rSum"]:  # the sum of rounded figures, or means
            assert float(row["rSum"]) == pytest.approx(sum(map(float, recalls)), abs=0.35), row
    told = {
        tuple(row[name] for name in ("model", "scored on", "images", "i2t R@1", "t2i R@1", "rSum"))
        for row in rows if row["kind"] == "published"
    }  # fmt: skip
    for row in all_rows():
        figures = ("" if v is None else f"{v:.1f}" for v in (row.i2t[0], row.t2i[0], row.rsum))
        assert (row.model, row.dataset, str(row.images), *figures) in told


def test_the_csv_has_one_row_per_line():
    with docs_tables.RESULTS.open(encoding="utf-8", newline="") as file:
        assert len({len(row) for row in csv.reader(file)}) == 1
