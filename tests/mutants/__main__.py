"""Puts each fault into a copy of the project and has the test that is named beside it notice.

sh scripts/test_slow.sh mutants [--only TEXT]
"""

import os
import queue
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lib.arguments import new_parser
from tests.mutants.fault import Fault
from tests.mutants.faults import FAULTS

ROOT = Path(__file__).parents[2]
LEFT_OUT = (".*", "__pycache__", "*_precomp", "runs", "*.egg-info")
FAILED = 1  # pytest's exit status where a test failed; another one is of a broken command
LIMIT = 600  # seconds that a test may take


def tested(copy: Path, tests: list[str]) -> "subprocess.CompletedProcess[str]":
    """pytest in a copy of the project."""
    options = ["-x", "-p", "no:cacheprovider", "-m", "slow or not slow"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    # Bytecode is told from its source by a time in whole seconds, which faults follow faster.
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": "--numprocesses 0"}
    return subprocess.run(
        command, cwd=copy, env=env, capture_output=True, text=True, timeout=LIMIT, check=False
    )


def outcome(fault: Fault, copies: "queue.Queue[Path]") -> str:
    """killed, survived, or what is wrong with the fault."""
    copy = copies.get()
    path = copy / fault.file
    text = path.read_text(encoding="utf-8")
    try:
        if text.count(fault.old) != 1:
            return f"stands {text.count(fault.old)} times"
        path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
        status = tested(copy, [fault.test]).returncode
    except subprocess.TimeoutExpired:
        return f"took more than {LIMIT} s"
    finally:
        path.write_text(text, encoding="utf-8")
        copies.put(copy)
    names = {0: "survived", FAILED: "killed"}
    return names.get(status, f"pytest ended with status {status}")


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--only", default="", help="faults whose file or lines hold this text")
    args = parser.parse_args()
    faults = [fault for fault in FAULTS if any(args.only in part for part in fault[:3])]
    workers = os.cpu_count() or 1
    copies: queue.Queue[Path] = queue.Queue()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        for number in range(workers):
            copy = Path(folder) / str(number)
            shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
            copies.put(copy)
        names = sorted({fault.test for fault in faults})
        whole = tested(Path(folder) / "0", names)
        if whole.returncode != 0:
            sys.exit(f"{whole.stdout}{whole.stderr}error: a test fails without any fault")
        found = pool.map(lambda fault: outcome(fault, copies), faults)
        killed = 0
        for fault, what in zip(faults, found, strict=True):
            killed += what == "killed"
            print(f"{what}: {fault.file}: {fault.old.strip()}  ->  {fault.new.strip()}", flush=True)
            if what != "killed":
                print(f"    {fault.test}", flush=True)
    print(f"{killed} of {len(faults)} killed")
    sys.exit(killed != len(faults))


if __name__ == "__main__":
    main()
