"""Two processes with one output."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.campaign.endings import (
    Result,
    content,
    dataset,
    ended,
    extractions,
    same_run,
    start,
)
from benchmarks.campaign.server import program, run_forked
from benchmarks.campaign.world import Shared


def races(shared: Shared, work: Path, count: int) -> Iterator[Result]:
    """Two processes with one output: one is refused and told who holds it, or both leave the same
    whole files."""
    names = [*extractions(shared, work), "train", "prepare_captions"]
    for name in names:

        def words_for(folder: Path, name: str = name) -> list[str]:
            if name == "train":
                return shared.train(folder / "run")
            if name == "prepare_captions":
                table = str(shared.root / "karpathy.json")
                out = str(folder / "out")
                return ["scripts/prepare_captions.py", "--karpathy", table, "--out", out]
            return extractions(shared, folder)[name]

        whole = work / f"{name}_whole"
        dataset(shared, whole, name)
        ok = run_forked(program(words_for(whole)), work)
        assert ok.code == 0, ok.err
        for number in range(count):
            folder = work / f"{name}{number}"
            dataset(shared, folder, name)
            streams = [work / f"{name}_{which}" for which in (0, 1)]
            for stream in streams:
                stream.mkdir(exist_ok=True)
            pids = [start(words_for(folder), stream, slow=0.05) for stream in streams]
            done = [ended(pid, s) for pid, s in zip(pids, streams, strict=True)]
            codes = [one.code for one in done]
            refused = [one for one in done if one.code == 1 and "is in use" in one.err]
            problem = None
            if any("Traceback" in one.err for one in done):
                last = next(one.err for one in done if "Traceback" in one.err)
                problem = f"ended in a traceback: {last.strip()[-150:]}"
            elif 0 not in codes or (codes.count(0) == 1 and not refused):
                problem = f"ended with {codes}: {done[1].err.strip()[-150:]}"
            elif name == "train" and codes == [0, 0]:
                problem = "both trained, and one was lost"
            elif name == "train" and not same_run(folder / "run", whole / "run"):
                problem = "left another run"
            elif name != "train" and content(folder) != content(whole):
                problem = "left other files than one alone"
            yield f"two of {name}, {number}", problem
            shutil.rmtree(folder, ignore_errors=True)
