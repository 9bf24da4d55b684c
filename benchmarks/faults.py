"""Puts faults to the commands, each in a real process, and prints how many they held against:

python benchmarks/faults.py [--minutes M] [--seed N] [--groups paths races ...] [--list FILE]

Bad inputs, outputs that are inputs, damaged fields, bombs, mutated files, kills, races and full
disks. Held means: one error line, or the right result; no file lost, no code of a file run, no
traceback, nothing silently wrong. Ends with 1 where something did not hold.
"""

import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.campaign import inputs, mutations, world
from benchmarks.campaign.disks import full_disks
from benchmarks.campaign.endings import Result as Ending
from benchmarks.campaign.kills import killed_extractions, killed_trainings
from benchmarks.campaign.races import races
from benchmarks.campaign.server import run_cases
from lib.arguments import new_parser

FIELDS = 500  # of some thousands, by seed
PER_FORMAT = 450  # mutated files of each format
ENDINGS = {"killed trainings": 18, "killed extractions": 6, "races": 3, "full disks": 6}
GROUPS: dict[str, Callable[..., Iterator[Ending]]] = {
    "killed trainings": killed_trainings,
    "killed extractions": killed_extractions,
    "races": races,
    "full disks": full_disks,
}
BATCH = 25  # cases that a process takes at once
Result = tuple[str, str, str | None]  # group, case, what did not hold


def preload() -> None:
    """Import what the commands need, once: forked processes then start in milliseconds."""
    import torch
    import torchvision.models.detection
    from transformers import AutoConfig, AutoImageProcessor, BertModel, BertTokenizer

    torch.set_num_threads(1)
    assert AutoConfig and AutoImageProcessor and BertModel and BertTokenizer and torchvision
    for name in ("lib.training.loop", "lib.evaluation.search", "lib.evaluation.evaluator",
                 "lib.extraction.runner", "lib.extraction.panoptic_model",
                 "lib.extraction.regions", "lib.demo.scenes.files", "lib.demo.small_bert",
                 "lib.evaluation.results_table"):  # fmt: skip
        __import__(name)


def jobs(shared: world.Shared, seed: int, share: float) -> list[tuple[str, str, int, int]]:
    """(group, kind, first, last) of all pieces of work; ``share`` of the whole campaign."""
    generator = np.random.default_rng(seed)
    found = []
    for group, cases_of in inputs.GROUPS.items():
        cases = list(cases_of(shared))
        count = min(len(cases), FIELDS) if group == "fields" else len(cases)
        count = max(1, round(count * share))
        chosen = generator.permutation(len(cases))[:count].tolist()
        found += [(group, "cases", chosen[i : i + BATCH]) for i in range(0, len(chosen), BATCH)]
    for number, _ in enumerate(mutations.formats(shared)):
        count = max(2, round(PER_FORMAT * share))
        found += [("mutated files", "format", [number, first, min(50, count - first)])
                  for first in range(0, count, 50)]  # fmt: skip
    for group, count in ENDINGS.items():
        found.append((group, "ending", [max(1, round(count * share))]))
    return found


def work(job: tuple[str, str, list[int]], root: Path, seed: int) -> list[Result]:
    """One piece of work, in a process that has everything imported."""
    group, kind, numbers = job
    shared = world.Shared(root)
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        place = Path(name)
        if kind == "cases":
            cases = list(inputs.GROUPS[group](shared))
            results = run_cases([cases[number] for number in numbers], place)
        elif kind == "format":
            which, first, count = numbers
            chosen = mutations.formats(shared)[which]
            results = list(mutations.mutate(chosen, count, seed * 1000 + first, place))
        else:
            results = list(_ending(group, shared, place, numbers[0], seed))
    return [(group, case, problem) for case, problem in results]


def _ending(
    group: str, shared: world.Shared, place: Path, count: int, seed: int
) -> Iterator[Ending]:
    more = (seed,) if group.startswith("killed") else ()
    yield from GROUPS[group](shared, place, count, *more)


def _server(connection: object, root: Path, seed: int) -> None:
    while (job := connection.recv()) is not None:
        try:
            connection.send(work(job, root, seed))
        except Exception as error:  # of the campaign itself, or of a good command
            connection.send([(job[0], str(job), f"could not be tried: {error!r}")])


def campaign(
    root: Path, seed: int, share: float, seconds: float | None, groups: list[str] | None
) -> list[Result]:
    """All results; several processes share the work."""
    preload()
    shared = world.build(root)
    pending = [job for job in jobs(shared, seed, share) if not groups or job[0] in groups]
    # What takes longest first; the rest in any order, so that a limit cuts all groups alike.
    order = np.random.default_rng(seed).permutation(len(pending)).tolist()
    pending = sorted((pending[i] for i in order), key=lambda job: job[1] != "ending")
    started, results, servers = time.monotonic(), [], []
    for _ in range(os.cpu_count() or 1):
        here, there = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(
            target=_server, args=(there, root, seed)
        )
        process.start()
        there.close()
        servers.append((here, process))
    busy = {}
    while pending or busy:
        late = seconds is not None and time.monotonic() - started > seconds
        for here, _ in servers:
            if here not in busy and pending and not late:
                here.send(busy.setdefault(here, pending.pop(0)))
        if not busy:
            break
        for here in multiprocessing.connection.wait(list(busy), timeout=5):
            results += here.recv()
            del busy[here]
    for here, process in servers:
        here.send(None)
        process.join()
    return results


def report(results: list[Result]) -> str:
    """A line per group."""
    groups: dict[str, list[str | None]] = defaultdict(list)
    for group, _, problem in results:
        groups[group].append(problem)
    lines = [f"{'group':<26} held"]
    for group, problems in groups.items():
        held = sum(problem is None for problem in problems)
        lines.append(f"{group:<26} {held:,} of {len(problems):,}")
    held = sum(problem is None for _, _, problem in results)
    return "\n".join([*lines, f"{'all':<26} {held:,} of {len(results):,}"])


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--minutes", type=float, help="stop after so many minutes; default: all of it"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the mutations and samples")
    parser.add_argument("--share", type=float, default=1.0, help="share of the cases of each group")
    names = [*inputs.GROUPS, "mutated files", *GROUPS]
    parser.add_argument(
        "--groups", nargs="+", choices=names, help="which groups of cases; default: all"
    )
    parser.add_argument("--list", type=Path, help="write what did not hold as JSON lines")
    args = parser.parse_args()
    seconds = None if args.minutes is None else 60 * args.minutes
    with tempfile.TemporaryDirectory(prefix="faults-world-") as name:
        results = campaign(Path(name), args.seed, args.share, seconds, args.groups)
    broken = [result for result in results if result[2] is not None]
    for group, case, problem in broken:
        print(f"{group}: {case}: {problem}")
    print(report(results))
    if args.list:
        args.list.write_text("".join(json.dumps(result) + "\n" for result in broken))
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
