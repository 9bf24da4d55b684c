"""Trains and scores the rows of a table, each with several seeds, side by side; prints the table.

python scripts/ablation.py threeshnet --seeds 0 1 2
python scripts/ablation.py cmsei --rows full no_vsg no_llii --seeds 0 --jobs 1 train.precision=bf16

Tables: what each part adds to threeshnet, cmsei and lhsc on the demo world; families, all of them
on the demo world; flickr8k, the rows of scripts/flickr8k.sh. Each run is in OUT/<row>-<seed> with
its log beside it. It may be stopped; started again, it goes on where it was, and finished runs are
kept. Every run has one thread: small models gain little from more.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.arguments import new_parser, path_arg
from lib.config import load_config
from lib.errors import InputError, exit_on_error
from lib.files import atomic_write, check_writable
from lib.jobs import Jobs

ROOT = Path(__file__).parents[1]
BERT = "model.bert={data_path}/scenes_precomp/bert"  # the demo world's own


@dataclass(frozen=True)
class Row:
    """One model of a table, and what it changes in its config."""

    config: str
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ablation:
    """The rows of a table, and the means of two of them, made wherever both are run."""

    out: str
    dataset: str
    rows: dict[str, Row]
    default: tuple[str, ...]  # rows that are run unless others are named
    means: dict[str, tuple[str, str]] = field(default_factory=dict)  # name -> two of the rows
    seeds: tuple[int, ...] = (0, 1, 2)

    def runs(self, names: Sequence[str]) -> list[str]:
        """The rows to train for the rows that are named."""
        return [run for name in names for run in self.means.get(name, (name,))]


def _scenes(kind: str, *settings: str, bert: bool = True) -> Row:
    return Row(f"configs/scenes_{kind}.yaml", (*([BERT] if bert else []), *settings))


def _versions(**settings: tuple[str, ...]) -> dict[str, Row]:
    """Both versions of CMSEI, each with the settings of a row."""
    return {
        f"{name}-{direction}": _scenes("cmsei", f"model.direction={direction}", *changed)
        for name, changed in settings.items()
        for direction in ("i2t", "t2i")
    }


CMSEI: dict[str, tuple[str, ...]] = {
    "full": (),
    "no_vsg": ("model.use_spatial_graph=false",),
    "no_vsrg": ("model.use_semantic_graph=false",),
    "no_tg": ("model.use_text_graph=false",),
    "no_llii": ("model.use_local_interaction=false",),
    "no_lgii": ("model.use_global_interaction=false",),
    # What the paper leaves open.
    "clipped": ("model.attention=clipped_l2norm",),
    "enhanced": ("model.global_from=enhanced",),
    "projected": ("model.semantic_nodes=projected",),
    "symmetric": ("model.symmetric_relations=true",),
    "norm": ("model.graph_norm=batch",),
}
LHSC: dict[str, Row] = {
    "full": _scenes("lhsc", bert=False),
    **{f"depth{n}": _scenes("lhsc", f"model.graph_layers={n}", bert=False) for n in (3, 2, 1)},
    "no_attention": _scenes("lhsc", "model.use_word_attention=false", bert=False),
    "no_global": _scenes("lhsc", "model.use_global=false", bert=False),
    "no_filter": _scenes("lhsc", "model.use_filter=false", bert=False),
    "padding": _scenes("lhsc", "model.padding=released", bert=False),
    # BERT starts random here, and learns at the rate of the rest.
    "bert": _scenes("lhsc", "model.bert_lr_scale=1"),
}
THREESHNET = {
    "full": _scenes("region"),
    "no_vsem": _scenes("region", "model.vsem=false"),
    "no_vspm": _scenes("region", "model.vspm=false"),
    "no_branches": _scenes("region", "model.vsem=false", "model.vspm=false"),
    "no_segmentation": _scenes("region", "model.segmentation=false"),
}
F8K = {
    "region": Row("configs/f8k_region.yaml"),
    "vse_region": Row("configs/f8k_region.yaml", ("model.segmentation=false",)),
    "no_vspm": Row("configs/f8k_region.yaml", ("model.vspm=false",)),
    "no_vsem": Row("configs/f8k_region.yaml", ("model.vsem=false",)),
    "no_branches": Row("configs/f8k_region.yaml", ("model.vsem=false", "model.vspm=false")),
    "grid": Row("configs/f8k_grid.yaml"),
    "vse_grid": Row("configs/f8k_grid.yaml", ("model.segmentation=false", "model.residual=false")),
    "lhsc": Row(
        "configs/f8k_region.yaml", ("model.family=lhsc", "model.regions=24", "features.drop=0")
    ),
}
ABLATIONS = {
    "threeshnet": Ablation("runs/ablation", "scenes", THREESHNET, tuple(THREESHNET)),
    "cmsei": Ablation(
        "runs/ablation_cmsei",
        "scenes",
        _versions(**CMSEI),
        ("full", "no_vsg", "no_vsrg", "no_tg", "no_llii", "no_lgii"),
        {name: (f"{name}-i2t", f"{name}-t2i") for name in CMSEI},
    ),
    "lhsc": Ablation("runs/ablation_lhsc", "scenes", LHSC, tuple(LHSC), seeds=(0, 1)),
    "families": Ablation(
        "runs/families",
        "scenes",
        {
            "cmsei_i2t": _scenes("cmsei", "model.direction=i2t"),
            "cmsei_t2i": _scenes("cmsei", "model.direction=t2i"),
            "lhsc": _scenes("lhsc", bert=False),
            **{kind: _scenes(kind) for kind in ("vse_infinity_region", "region", "grid")},
        },
        ("cmsei", "lhsc", "vse_infinity_region", "hybrid"),
        {"cmsei": ("cmsei_i2t", "cmsei_t2i"), "hybrid": ("region", "grid")},
    ),
    "flickr8k": Ablation(
        "runs/f8k",
        "f8k",
        F8K,
        tuple(name for name in F8K if name != "lhsc"),
        {"hybrid": ("region", "grid")},
        seeds=(0, 1),
    ),
}


def keep_settings(out: Path, given: Sequence[str]) -> None:
    """Note the settings that all rows share, but for where the text network is. Raises InputError:
    the folder holds runs with others."""
    file = out / "settings"
    text = " ".join(one for one in given if not one.startswith("model.bert=")) + "\n"
    check_writable(file)
    if file.is_file() and file.read_text(encoding="utf-8").strip() != text.strip():
        found = file.read_text(encoding="utf-8").strip()
        raise InputError(f"{out}: holds runs with other settings ({found}); choose another --out")
    with atomic_write(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def trained(
    name: str, seed: int, row: Row, about: Ablation, data_path: Path, out: Path, given: list[str]
) -> Callable[[Jobs], None]:
    """The job that trains and scores a row with a seed, unless that is done."""
    run, log = out / f"{name}-{seed}", out / f"{name}-{seed}.log"
    own = [setting.format(data_path=data_path) for setting in row.settings]
    train = ["train.py", "--config", row.config, "--resume", f"data.root={data_path}"]
    train += ["data.workers=0", f"run.out={run}", f"run.seed={seed}", *own, *given]
    score = ["eval.py", "--checkpoint", f"{run}/model_best.pth", "--data_path", str(data_path)]
    score += ["--dataset", about.dataset, "--workers", "0"]
    score += ["--save_results", f"{run}/results.safetensors", "--json", f"{run}/results.json"]

    def job(jobs: Jobs) -> None:
        if not (run / "results.json").is_file():
            print(f"{name}, seed {seed}: its log is {log}", flush=True)
            for words in (train, score):
                jobs.command(log, words)

    return job


def averaged(name: str, seed: int, pair: Sequence[str], out: Path) -> Callable[[Jobs], None]:
    """The job that scores the mean of two rows."""
    results = [f"{out}/{one}-{seed}/results.safetensors" for one in pair]
    words = ["eval_ensemble.py", *results, "--json", f"{out}/{name}-{seed}/results.json"]
    return lambda jobs: jobs.command(out / f"{name}-{seed}.log", words)


def main(words: list[str] | None = None) -> None:
    """Run the table that the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    parser.add_argument("table", choices=tuple(ABLATIONS), help="which table, as above")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="section.key=value",
        help="settings of all rows, in place of their configs'",
    )
    rows = "; ".join(f"{name}: {', '.join(_names(a))}" for name, a in ABLATIONS.items())
    parser.add_argument("--rows", nargs="+", help=f"rows to run, of {rows}; default: the table's")
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="seeds of each row; default: 0 1 2, of some 0 1"
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many runs at a time")
    parser.add_argument(
        "--data_path", type=path_arg, default=Path("data"), help="folder that holds the dataset's"
    )
    parser.add_argument("--out", type=path_arg, help="folder of the runs; default: below runs/")
    parser.add_argument(
        "--check", action="store_true", help="check rows and settings, and run nothing"
    )
    args = parser.parse_intermixed_args(words)
    about = ABLATIONS[args.table]
    if args.jobs < 1 or (args.seeds and min(args.seeds) < 0):
        parser.error("--jobs must be at least 1, seeds at least 0")
    with exit_on_error():
        names = list(dict.fromkeys(args.rows or about.default))
        if unknown := [name for name in names if name not in _names(about)]:
            raise InputError(f"--rows names {unknown[0]}, expected {', '.join(_names(about))}")
        data_path, out = (_in_root(Path(p)) for p in (args.data_path, args.out or about.out))
        check(about, names, data_path, args.overrides)
        if not args.check:
            seeds = list(dict.fromkeys(args.seeds or about.seeds))
            run(about, names, seeds, args.jobs, data_path, out, args.overrides)


def _in_root(path: Path) -> Path:
    """A path as the commands see it, which run in the repository's folder."""
    return path if Path.cwd() == ROOT else path.absolute()


def _names(about: Ablation) -> list[str]:
    """What --rows may name: rows, and means in place of the pairs that are rows of nothing else."""
    versions = {f"{name}-{v}" for name in about.means for v in ("i2t", "t2i")}
    return [*(name for name in about.rows if name not in versions), *about.means]


def check(about: Ablation, names: list[str], data_path: Path, given: list[str]) -> None:
    """Refuse what cannot be used before anything is made. Raises InputError."""
    for setting in given:
        per_row = setting.partition("=")[0] in ("run.out", "run.seed", "data.root")
        if per_row and setting != f"data.root={data_path}":
            raise InputError(f"{setting}: each row has its own; use --out, --seeds or --data_path")
    for name in about.runs(names):
        row = about.rows[name]
        own = [setting.format(data_path=data_path) for setting in row.settings]
        load_config(ROOT / row.config, [*own, *given])


def run(
    about: Ablation, names: list[str], seeds: list[int], at_a_time: int, data_path: Path, out: Path,
    given: list[str],
) -> None:  # fmt: skip
    """Train, score, average and print. Raises InputError: a run failed."""
    runs = list(dict.fromkeys(about.runs(names)))
    keep_settings(out, given)
    if about.dataset == "scenes":
        scene = ["sh", "-c", ". scripts/scenes.sh"]
        env = os.environ | {"PYTHON": sys.executable, "DATA_PATH": str(data_path)}
        if subprocess.run(scene, cwd=ROOT, env=env, check=False).returncode:
            raise InputError(f"{data_path}: the demo world could not be made")
    jobs = Jobs(at_a_time, ROOT)
    pairs = {name: pair for name, pair in about.means.items() if set(pair) <= set(runs)}
    about_runs = (about, data_path, out, given)
    with jobs.stopped_by_signals():
        jobs.run([trained(n, seed, about.rows[n], *about_runs) for seed in seeds for n in runs])
        jobs.run([averaged(n, seed, pair, out) for seed in seeds for n, pair in pairs.items()])
    if jobs.stopped:
        sys.exit(128 + jobs.stopped)
    done = [out / f"{name}-{seed}" for name in (*runs, *pairs) for seed in seeds]
    table = ["scripts/results_table.py", *map(str, done)]
    subprocess.run([sys.executable, *table], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
