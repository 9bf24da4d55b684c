"""Prints runs side by side as Markdown and LaTeX, with the published rows beneath.

python scripts/results_table.py runs/*

Takes folders, whose results it finds in the *.json files in them (eval.py, eval_ensemble.py and
eval_cross_ensemble.py write them with --json), or such files themselves.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.errors import InputError, reported
from lib.evaluation.comparison import FIGURES, Row, Spread, Table, compare
from lib.evaluation.record import read_record

COLUMNS = ("setting", "features", "models", "trained on", "seeds", "epoch", *FIGURES, "source")


def find_records(paths: list[Path]) -> list[dict]:
    """The records of all folders and files; those without any are said on stderr."""
    records = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        # Hidden ones are of writers that were killed.
        inside = (file for file in path.rglob("*.json") if not file.name.startswith("."))
        files = sorted(inside) if path.is_dir() else [path]
        found = [record for file in files if (record := read_record(file)) is not None]
        if not found:
            print(f"note: {path} holds no results; eval.py --json writes them", file=sys.stderr)
        records += found
    return records


def cells(row: Row) -> list[str]:
    """A row's cells as text."""

    def text(figure: Spread) -> str:
        if figure.mean is None:
            return "-"
        spread = "" if figure.sd is None else f" ± {figure.sd:.1f}"
        return f"{figure.mean:.1f}{spread}"

    return [
        row.setting, row.features, row.models, row.trained_on, row.seeds, row.epoch,
        *map(text, row.figures), row.source,
    ]  # fmt: skip


def markdown(table: Table) -> str:
    """The table as Markdown, under its title."""
    lines = [f"### {table.title}", "", f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(cells(row))} |" for row in (*table.rows, *table.published)]
    return "\n".join(lines)


def latex(table: Table) -> str:
    """The table as LaTeX, a rule between singles and ensembles, and before published rows."""

    def escape(text: str) -> str:
        for sign in "\\&%$#_{}":
            text = text.replace(sign, f"\\{sign}" if sign != "\\" else r"\textbackslash ")
        return text

    def line(row: Row) -> str:
        texts = [escape(cell).replace("±", r"$\pm$") for cell in cells(row)]
        return " & ".join(texts) + r" \\"

    singles = [row for row in table.rows if row.models == "single"]
    ensembles = [row for row in table.rows if row.models != "single"]
    blocks = ["\n".join(map(line, block)) for block in (singles, ensembles, table.published)]
    width = len(FIGURES)
    return "\n".join(
        [
            f"% {table.title}",
            rf"\begin{{tabular}}{{llllll{'r' * width}l}}",
            r"\hline",
            " & ".join(escape(column) for column in COLUMNS) + r" \\",
            r"\hline",
            "\n\\hline\n".join(filter(None, blocks)),
            r"\hline",
            r"\end{tabular}",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, help="folders or result files")
    parser.add_argument("--format", choices=("markdown", "latex", "both"), default="both")
    args = parser.parse_args()
    with reported():
        tables, notes = compare(find_records(args.runs))
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
        if not tables:
            raise InputError("no results among these; eval.py --json writes them")
    if args.format != "latex":
        print("\n\n".join(map(markdown, tables)))
    if args.format == "both":
        print()
    if args.format != "markdown":
        print("\n\n".join(map(latex, tables)))


if __name__ == "__main__":
    main()
