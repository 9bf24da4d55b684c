"""Runs the sections of the GPU campaign, each in a process of its own, and prints Markdown.

python -m benchmarks.gpu [--sections steps parity ...]
python -m benchmarks.gpu --device cpu --tiny          # that all of it runs, in a few minutes

A section that fails or takes too long says so in its place, and the others go on. With --tiny,
sizes are so small that their figures tell nothing."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import machine
from lib.arguments import new_parser
from lib.errors import exit_on_error, one_line

ROOT = Path(__file__).parents[2]
LEAST = 180  # seconds that a tiny section may take at least, beside others
# Of rows that benchmarks/measure.py makes.
HEAD = ["| what | ours | beside | ratio | wanted |", "|---|---|---|---|---|"]


@dataclass(frozen=True)
class Section:
    """Programs under one heading, and for how many seconds they may run on a GPU."""

    title: str
    seconds: int
    full: Sequence[str]  # command lines, without --device
    tiny: Sequence[str]


# Their times add up to 24 minutes.
SECTIONS = {
    "parity": Section(
        "Golden cases, CPU and GPU", 90, ["-m benchmarks.gpu.parity"],
        ["-m benchmarks.gpu.parity --few"],
    ),
    "steps": Section(
        "Training steps", 480, ["-m benchmarks.gpu.steps"],
        ["-m benchmarks.gpu.steps --tiny"],
    ),
    "evaluation": Section(
        "Evaluation of COCO's size", 240, ["-m benchmarks.gpu.evaluation"],
        ["-m benchmarks.gpu.evaluation --images 20 --layers 1"],
    ),
    "pairs": Section(
        "CMSEI's and LHSC's pairs", 240,
        ["benchmarks/pairs.py --images 500 --captions 1000 --repeats 2 --precision bf16",
         "benchmarks/pairs.py --images 500 --captions 1000 --repeats 2 --direction t2i "
         "--precision bf16",
         "benchmarks/pairs_lhsc.py --images 1000 --captions 1000 --repeats 2"],
        ["benchmarks/pairs.py --images 3 --captions 4 --naive 1 --repeats 1",
         "benchmarks/pairs_lhsc.py --images 3 --captions 4 --repeats 1"],
    ),
    "extraction": Section(
        "Extraction", 240,
        ["benchmarks/extraction.py --pictures 200 --repeats 2"],
        ["benchmarks/extraction.py --pictures 1 --repeats 1 --tiny"],
    ),
    "resume": Section(
        "Killed and resumed", 150, ["-m benchmarks.gpu.resume"],
        ["-m benchmarks.gpu.resume --tiny"],
    ),
}  # fmt: skip


def run(name: str, device: str, tiny: bool) -> tuple[str, bool]:
    """A section's Markdown, and whether all of it worked."""
    section = SECTIONS[name]
    started, parts, worked = time.monotonic(), [], True
    limit = section.seconds if not tiny else max(LEAST, section.seconds)
    for line in section.tiny if tiny else section.full:
        words = [*line.split(), "--device", device]
        left = max(1.0, limit - (time.monotonic() - started))
        command = f"`python {line}`"
        try:
            with tempfile.TemporaryDirectory() as temporary:
                status, printed, told = finished(words, left, temporary)
        except subprocess.TimeoutExpired as error:
            worked = False
            parts += [command, str(error.output).strip(), f"**Stopped after {left:.0f} s.**"]
            continue
        parts += [command, tidy(printed)]
        if status:
            worked = False
            last = told.strip().splitlines()[-1:] or ["it printed nothing"]
            parts.append(f"**Failed**: {one_line(last[0])}")
    taken = time.monotonic() - started
    body = "\n\n".join(part for part in parts if part)
    return f"## {section.title}\n\n{body}\n\n{taken:.0f} s of {limit} s.\n", worked


def finished(words: list[str], seconds: float, temporary: str) -> tuple[int, str, str]:
    """A program's status and what it printed to both outputs. Raises TimeoutExpired, with the
    first: it took longer, and was killed with all that it had started."""
    process = subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=os.environ | {"TMPDIR": temporary}, start_new_session=True,
    )  # fmt: skip
    try:
        printed, told = process.communicate(timeout=seconds)
        return process.returncode, printed, told
    except subprocess.TimeoutExpired as error:
        printed = error.stdout or b""  # bytes, though it is opened for text
        text = printed.decode(errors="replace") if isinstance(printed, bytes) else printed
        raise subprocess.TimeoutExpired(error.cmd, seconds, text) from error
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def tidy(printed: str) -> str:
    """What a program printed, as Markdown: without the machine's line, which stands above, and with
    a head where it printed rows alone."""
    lines = [line for line in printed.strip().splitlines() if line != machine()]
    rows = [i for i, line in enumerate(lines) if line.startswith("|")]
    if rows and not any(line.startswith("|---") for line in lines):
        lines[rows[0] : rows[0]] = ["", *HEAD]
        lines.insert(rows[-1] + len(HEAD) + 2, "")
    return "\n".join(lines).strip()


def campaign(args: argparse.Namespace) -> bool:
    """Print all sections; whether all worked."""
    started = time.monotonic()
    print(f"# GPU campaign\n\n{machine()}\n", flush=True)
    # One at a time on a GPU, whose figures would disturb each other.
    at_once = (os.cpu_count() or 1) if args.tiny and args.device == "cpu" else 1
    failed = []
    with ThreadPoolExecutor(at_once) as pool:
        found = pool.map(lambda name: run(name, args.device, args.tiny), args.sections)
        for name, (text, worked) in zip(args.sections, found, strict=True):
            print(text, flush=True)
            if not worked:
                failed.append(name)
    minutes = (time.monotonic() - started) / 60
    told = f"; failed: {', '.join(failed)}" if failed else ""
    print(f"{len(args.sections)} sections in {minutes:.1f} minutes{told}.")
    return not failed


def main(words: list[str] | None = None) -> None:
    """Run what the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    parser.prog = "sh benchmarks/gpu.sh"
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda", help="where to compute"
    )
    parser.add_argument("--tiny", action="store_true", help="sizes that only show that it runs")
    parser.add_argument(
        "--sections",
        nargs="+",
        choices=tuple(SECTIONS),
        default=list(SECTIONS),
        help="what to measure; default: everything",
    )
    args = parser.parse_args(words)
    with exit_on_error():
        from lib.device import resolve_device

        resolve_device(args.device)
        if not campaign(args):
            sys.exit(1)


if __name__ == "__main__":
    main()
