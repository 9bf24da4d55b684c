"""Prints runs side by side, with the published rows beneath.

python scripts/results_table.py runs/f30k_region runs/f30k_grid
python scripts/results_table.py runs/f30k_region runs/f30k_grid --format markdown
python scripts/results_table.py runs/f30k_region runs/f30k_grid --paper        # LaTeX with booktabs

Takes folders, whose results it finds in the *.json files in them (eval.py, eval_ensemble.py and
eval_cross_ensemble.py write them with --json), or such files themselves.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.arguments import new_parser, path_arg
from lib.errors import InputError, exit_on_error
from lib.evaluation.records import Record, read_record
from lib.evaluation.results_table import compare
from lib.evaluation.table_formats import to_csv, to_latex, to_markdown, to_paper, to_text


def find_records(paths: list[Path]) -> list[Record]:
    """The records of all folders and files; those without any are reported on stderr."""
    records = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        # Hidden ones are of writers that were killed.
        inside = (file for file in path.rglob("*.json") if not file.name.startswith("."))
        files = sorted(filter(Path.is_file, inside)) if path.is_dir() else [path]
        if path.suffix != ".json" and not path.is_dir():  # as runs/* finds logs beside runs
            files = []
        found = [record for file in files if (record := read_record(file)) is not None]
        if not found and path.suffix == ".json":
            raise InputError(f"{path}: holds no results; eval.py --json writes them")
        if not found:
            print(f"note: {path} holds no results; eval.py --json writes them", file=sys.stderr)
        records += found
    return records


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument("runs", nargs="+", type=path_arg, help="run folders, or files of results")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--format",
        choices=("text", "markdown", "latex", "csv"),
        default="text",
        help="how to print: text fits a terminal of 100 columns, the others have every column",
    )
    what.add_argument(
        "--paper",
        action="store_true",
        help="LaTeX for a paper: booktabs, best in bold, no bookkeeping columns",
    )
    args = parser.parse_args()
    with exit_on_error():
        tables, notes = compare(find_records(args.runs))
        if not tables:
            raise InputError("no results among these; eval.py --json writes them")
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
        if args.format == "csv":
            print(to_csv(tables), end="")
            return
        formats = {"text": to_text, "markdown": to_markdown, "latex": to_latex}
        print("\n\n".join(map(to_paper if args.paper else formats[args.format], tables)))


if __name__ == "__main__":
    main()
