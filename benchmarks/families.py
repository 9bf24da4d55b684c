"""The families side by side: accuracy and cost of the runs of scripts/families_scenes.sh.

python benchmarks/families.py runs/families [--data_path data] [--picture docs/families.png]

rSum is of the runs' records: mean and standard deviation over seeds. Training time is that of the
runs' logs, validation included. Encoding, scoring and memory are measured here, each checkpoint of
the first seed in a process of its own, on one thread: all pictures and captions of the test split
encoded, then all their pairs scored; memory is the process's largest, data and weights included.
An ensemble costs the sum of its members, and the memory of the larger. --shortlist K ... measures
CMSEI's and LHSC's second stage behind VSE-infinity too.
"""

import argparse
import json
import re
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from PIL import Image

from benchmarks.measure import from_one, machine
from lib.arguments import new_parser, path_arg
from lib.checkpoint import load_checkpoint, load_model
from lib.data.captions import tokenise
from lib.data.split import open_split
from lib.device import encoding_batch, resolve_device
from lib.errors import InputError, exit_on_error
from lib.evaluation.encode import encode_split
from lib.evaluation.evaluator import score_checkpoint
from lib.evaluation.opened import FeatureChoice, Target
from lib.evaluation.products import matrix_of
from lib.evaluation.protocols import evaluate
from lib.evaluation.records import read_record
from lib.evaluation.shortlist import candidates, rescore
from lib.files import atomic_write
from lib.models.common.micro_batch import set_limits
from lib.outputs import check_outputs

# Name in the table -> the runs that make it, one or two.
ROWS = {
    "VSE-infinity, region": ("vse_infinity_region",),
    "3SHNet, region": ("region",),
    "3SHNet, grid": ("grid",),
    "3SHNet, hybrid": ("region", "grid"),
    "CMSEI I-T": ("cmsei_i2t",),
    "CMSEI T-I": ("cmsei_t2i",),
    "CMSEI, both": ("cmsei_i2t", "cmsei_t2i"),
    "LHSC": ("lhsc",),
}
ENSEMBLES = {("region", "grid"): "hybrid", ("cmsei_i2t", "cmsei_t2i"): "cmsei"}
PAIRS = ("cmsei_i2t", "cmsei_t2i", "lhsc")
FIRST_STAGE = "vse_infinity_region"
# Where the name of a point stands that would meet another's: shift in points, and its side there.
LABELS = {
    "3SHNet, region": ((-9, -3), "right"),
    "3SHNet, grid": ((0, -16), "left"),
    "CMSEI I-T": ((-9, -3), "right"),
}
TITLE = "Accuracy over cost on the demo world: mean, and every seed"


@dataclass(frozen=True)
class Cost:
    """What a model takes."""

    parameters: float  # millions
    training: float  # minutes
    encoding: float  # seconds
    scoring: float  # seconds
    memory: float  # GB

    def with_(self, other: "Cost") -> "Cost":
        """Of both, one after the other."""
        one, two = asdict(self), asdict(other)
        total = {name: one[name] + two[name] for name in one}
        return Cost(**total | {"memory": max(self.memory, other.memory)})


def measured(checkpoint: Path, data_path: str, shortlist: list[int], first: Path) -> dict:
    """Of one checkpoint: see the module; and per shortlist the seconds, pairs and rSum."""
    path, device = str(checkpoint), resolve_device("cpu")
    loaded = load_checkpoint(path)
    data = loaded.config.data.model_copy(update={"root": data_path})
    config = loaded.config.model_copy(update={"data": data})
    split = open_split(config, "test")
    model, tokenizer = load_model(loaded, path, data_path)
    set_limits(model, None, config.eval.pair_memory_gb)
    captions = tokenise(split.captions, tokenizer)
    started = time.perf_counter()
    encoded = encode_split(model, split, captions, encoding_batch(device), workers=0)
    between = time.perf_counter()
    scores = encoded.scores(model)
    done = time.perf_counter()
    found: dict = {
        "parameters": sum(p.numel() for p in model.parameters()) / 1e6,
        "encoding": between - started,
        "scoring": done - between,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "rsum": evaluate(scores, data.dataset, "test")[0].metrics.rsum,
        "pairs": scores.size,
        "images": scores.shape[0],
        "captions": scores.shape[1],
        "shortlists": [],
    }
    if shortlist:
        target = Target(data_path, data.dataset, "test", device="cpu", workers=0)
        started = time.perf_counter()
        stage = matrix_of(score_checkpoint(str(first), target, FeatureChoice()).scores)
        found["first_stage"] = time.perf_counter() - started
        for count in shortlist:
            started = time.perf_counter()
            chosen = candidates(stage, count)
            few = rescore(stage, chosen, encoded, model)
            found["shortlists"].append({
                "count": count, "pairs": int(chosen.sum()),
                "scoring": time.perf_counter() - started,
                "rsum": evaluate(few, data.dataset, "test")[0].metrics.rsum,
            })  # fmt: skip
    return found


def in_a_process(run: Path, data_path: str, shortlist: list[int], first: Path) -> dict:
    """:func:`measured` in a process of its own, on one thread."""
    words = ["--one", run / "model_best.pth", "--data_path", data_path, "--first", first]
    words += ["--shortlist", *shortlist] if shortlist else []
    command = [sys.executable, __file__, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"ended with status {done.returncode}"]
        raise InputError(f"{run}: {last[0]}")
    return json.loads(done.stdout)


def runs_of(folder: Path, name: str) -> list[Path]:
    """The finished runs of all seeds, in their order."""
    found = [p for p in folder.glob(f"{name}-*") if (p / "results.json").is_file()]
    if not found:
        raise InputError(
            f"{folder}: has no results of {name}; scripts/families_scenes.sh makes them"
        )
    return sorted(found, key=lambda path: int(path.name.rsplit("-", 1)[1]))


def rsums(folder: Path, name: str) -> list[float]:
    """The test rSum of every seed."""
    records = [read_record(run / "results.json") for run in runs_of(folder, name)]
    return [record.results[0].metrics.rsum for record in records if record is not None]


def minutes(folder: Path, name: str) -> float:
    """The median over seeds of a run's epochs, from its log; runs that were resumed, whose logs
    lack a part, are left out. Raises InputError: all were."""
    logs = [(run / "train.log").read_text(encoding="utf-8") for run in runs_of(folder, name)]
    whole = [log for log in logs if "  resumed " not in log]
    if not whole:
        raise InputError(
            f"{folder}: every run of {name} was resumed, and no log has its whole time"
        )
    times = [sum(map(float, re.findall(r"([\d.]+) s$", log, re.MULTILINE))) for log in whole]
    return statistics.median(times) / 60


def spread(values: list[float]) -> str:
    """Mean, and standard deviation where there are several."""
    mean = f"{statistics.mean(values):.1f}"
    return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean


def require_drawn(path: Path) -> None:
    """The rule for the picture: an earlier one of this program."""
    try:
        with Image.open(path) as picture:
            title = picture.info.get("Title")
    except Exception:  # Pillow's decoders fail on other files in many ways
        title = None
    if title != TITLE:
        raise InputError(f"{path}: is there and is no picture of this program; choose another")


def draw(points: dict[str, tuple[list[float], float]], path: Path) -> None:
    """Accuracy over cost: rSum of every seed and their mean, over seconds per 1,000 pairs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    for number, (name, (values, cost)) in enumerate(points.items()):
        colour = f"C{number}"
        mean = statistics.mean(values)
        axes.plot([cost] * len(values), values, ".", color=colour, alpha=0.5)
        axes.plot(cost, mean, "o", color=colour, markersize=9)
        shift, side = LABELS.get(name, ((9, -3), "left"))
        axes.annotate(
            name, (cost, mean), xytext=shift, textcoords="offset points", ha=side, fontsize=9
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("seconds to encode and score the test split, one thread (log scale)")
    axes.set_ylabel("rSum on 250 unseen test pictures")
    axes.set_title(TITLE)
    axes.margins(x=0.25)
    axes.grid(alpha=0.3)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, metadata={"Title": TITLE})


def report(args: argparse.Namespace) -> None:
    """Print both tables and draw the picture."""
    folder = args.runs
    check_outputs([(args.picture, require_drawn)])
    names = dict.fromkeys(name for row in ROWS.values() for name in row)
    first = runs_of(folder, FIRST_STAGE)[0] / "model_best.pth"
    about, costs = {}, {}
    for name in names:
        few = args.shortlist if name in PAIRS else []
        about[name] = found = in_a_process(runs_of(folder, name)[0], args.data_path, few, first)
        one = {key: found[key] for key in ("parameters", "encoding", "scoring", "memory")}
        costs[name] = Cost(training=minutes(folder, name), **one)
    print(machine())
    print("\n| model | rSum | per seed | parameters | training | encoding | scoring | memory |")
    print("|---|---|---|---|---|---|---|---|")
    points = {}
    for title, runs in ROWS.items():
        values = rsums(folder, runs[0] if len(runs) == 1 else ENSEMBLES[runs])
        cost = costs[runs[0]]
        for other in runs[1:]:
            cost = cost.with_(costs[other])
        points[title] = (values, cost.encoding + cost.scoring)
        print(
            f"| {title} | {spread(values)} | {', '.join(f'{v:.1f}' for v in values)} | "
            f"{cost.parameters:.2f} M | {cost.training:.1f} min | {cost.encoding:.1f} s | "
            f"{cost.scoring:.2g} s | {cost.memory:.2f} GB |"
        )
    print(
        f"\n| behind {FIRST_STAGE} | K | pairs | captions per image | images per caption | rSum | "
        "scoring | first stage |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in PAIRS:
        found = about[name]
        title = next(title for title, runs in ROWS.items() if runs == (name,))
        whole = {"count": "all", **{k: found[k] for k in ("pairs", "scoring", "rsum")}}
        for one in (*found["shortlists"], whole):
            pairs, share = one["pairs"], one["pairs"] / found["pairs"]
            stage = "-" if one is whole else f"{found['first_stage']:.2f} s"
            print(
                f"| {title} | {one['count']} | {pairs:,} ({share:.0%}) | "
                f"{pairs / found['images']:.0f} | {pairs / found['captions']:.0f} | "
                f"{one['rsum']:.1f} | {one['scoring']:.2f} s | {stage} |"
            )
    if args.picture:
        draw(points, args.picture)
        print(f"\n{args.picture}: drawn")


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument("runs", nargs="?", type=path_arg, help="the folder of all runs")
    parser.add_argument("--data_path", default="data", help="folder that holds scenes_precomp/")
    parser.add_argument(
        "--picture",
        type=path_arg,
        metavar="F",
        help="draw accuracy against cost into this PNG, replacing an earlier one",
    )
    parser.add_argument(
        "--shortlist",
        type=from_one,
        nargs="+",
        default=[],
        metavar="K",
        help="measure a second stage on so many candidates",
    )
    parser.add_argument("--one", type=path_arg, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=path_arg, help=argparse.SUPPRESS)
    args = parser.parse_args()
    with exit_on_error():
        if args.one:
            import torch

            torch.set_num_threads(1)
            print(json.dumps(measured(args.one, args.data_path, args.shortlist, args.first)))
        elif args.runs is None:
            parser.error("the folder of all runs is missing")
        else:
            report(args)


if __name__ == "__main__":
    main()
