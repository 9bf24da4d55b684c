"""Prints runs side by side as Markdown, LaTeX or CSV, with the published rows beneath.

python scripts/results_table.py runs/*

Takes folders, whose results it finds in the *.json files in them (eval.py, eval_ensemble.py and
eval_cross_ensemble.py write them with --json), or such files themselves.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.arguments import path_arg
from lib.errors import InputError, exit_on_error
from lib.evaluation.records import Record, read_record
from lib.evaluation.results_table import compare, to_csv, to_latex, to_markdown


def find_records(paths: list[Path]) -> list[Record]:
    """The records of all folders and files; those without any are reported on stderr."""
    records = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        # Hidden ones are of writers that were killed.
        inside = (file for file in path.rglob("*.json") if not file.name.startswith("."))
        files = sorted(filter(Path.is_file, inside)) if path.is_dir() else [path]
        found = [record for file in files if (record := read_record(file)) is not None]
        if not found and path.is_file():
            raise InputError(f"{path}: holds no results; eval.py --json writes them")
        if not found:
            print(f"note: {path} holds no results; eval.py --json writes them", file=sys.stderr)
        records += found
    return records


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=path_arg, help="folders or result files")
    formats = ("markdown", "latex", "both", "csv")
    parser.add_argument("--format", choices=formats, default="both")
    args = parser.parse_args()
    with exit_on_error():
        tables, notes = compare(find_records(args.runs))
        if not tables:
            raise InputError("no results among these; eval.py --json writes them")
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
        parts = []
        if args.format in ("markdown", "both"):
            parts += map(to_markdown, tables)
        if args.format in ("latex", "both"):
            parts += map(to_latex, tables)
        print("\n\n".join(parts) if parts else to_csv(tables), end="\n" if parts else "")


if __name__ == "__main__":
    main()
