"""Writes the tables of results in README.md, docs/ and benchmarks/ from docs/results.csv.

python scripts/docs_tables.py              # after a change of docs/results.csv
python scripts/docs_tables.py --check      # says which files are out of date, and changes none

A table stands between two comments, of which the first says what is in it: tables of the CSV,
columns, and which rows, where not all:

    <!-- results: published | setting, i2t, t2i, rSum, source | model=VSE-infinity -->
    <!-- end of results -->

A column is one of the CSV's, or made of several: setting is model, features and gallery, what is
model and features, i2t and t2i are R@1 / 5 / 10, rSum has its standard deviation.
"""

import csv
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.arguments import new_parser
from lib.errors import InputError, exit_on_error
from lib.files import atomic_write

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results.csv"
PLACES = ("README.md", "docs/*.md", "benchmarks/*.md")
BLOCK = re.compile(r"(<!-- results: (.*?) -->\n).*?(<!-- end of results -->)", re.DOTALL)
GALLERIES = {("coco", "1000"): "COCO 5-fold 1K", ("coco", "5000"): "COCO 5K"}
GALLERIES |= {("f30k", "1000"): "Flickr30K", ("coco, CxC", "5000"): "CxC"}
HEADS = {"i2t": "i2t R@1 / 5 / 10", "t2i": "t2i R@1 / 5 / 10", "rSum per seed": "per seed"}
HEADS |= {"what": "model"}

Row = dict[str, str]


def read_results() -> list[Row]:
    """Every row of the CSV."""
    with RESULTS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def gallery(row: Row) -> str:
    """What was scored, in the field's words."""
    return GALLERIES.get((row["scored on"], row["images"]), f"{row['images']} {row['scored on']}")


def cell(row: Row, column: str) -> str:
    """What stands in a column of a row. Raises InputError: there is no such column."""
    if column in ("i2t", "t2i"):
        found = [row[f"{column} R@{k}"] or "-" for k in (1, 5, 10)]
        return "-" if set(found) == {"-"} else " / ".join(found)
    if column == "rSum":
        return (row["rSum"] or "-") + (f" ± {row['rSum sd']}" if row["rSum sd"] else "")
    if column in ("what", "setting"):
        features = "" if row["features"] == "not stated" else f", {row['features']}"
        best = ", best reported" if row["models"] == "not stated" else ""
        where = f", {gallery(row)}" if column == "setting" else ""
        return f"{row['model']}{features}{where}{best}"
    if column == "gallery":
        return gallery(row)
    if column not in row:
        raise InputError(f"{RESULTS.name} has no column {column}; there are {', '.join(row)}")
    return row[column] or "-"


def table(asked: str, rows: list[Row]) -> str:
    """The Markdown of a table that a comment asks for. Raises InputError: it makes no sense."""
    if "|" not in asked:
        raise InputError(f"<!-- results: {asked} -->: names no columns, expected TABLE | COLUMNS")
    names, columns, *conditions = (part.strip() for part in asked.split("|"))
    wanted = [name.strip() for name in names.split(",")]
    chosen = [row for row in rows if row["table"] in wanted]
    for condition in conditions:
        name, _, values = condition.partition("=")
        if name.strip() not in rows[0]:
            raise InputError(f"{RESULTS.name} has no column {name}; there are {', '.join(rows[0])}")
        chosen = [row for row in chosen if row[name.strip()] in values.strip().split(";")]
    if not chosen:
        raise InputError(f"{RESULTS.name} has no row for: {asked}")
    heads = [column.strip() for column in columns.split(",")]
    lines = [" | ".join(HEADS.get(head, head) for head in heads), "|".join(["---"] * len(heads))]
    lines += [" | ".join(cell(row, head) for head in heads) for row in chosen]
    return "".join(f"|{line}|\n" if "---" in line else f"| {line} |\n" for line in lines)


def filled(text: str, rows: list[Row]) -> str:
    """A document with its tables as the CSV has them."""
    return BLOCK.sub(lambda block: block[1] + table(block[2], rows) + block[3], text)


def main(words: list[str] | None = None) -> None:
    """Write the tables, or check them."""
    parser = new_parser(__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where outdated")
    args = parser.parse_args(words)
    with exit_on_error():
        rows = read_results()
        for path in sorted(path for place in PLACES for path in ROOT.glob(place)):
            text = path.read_text(encoding="utf-8")
            new = filled(text, rows)
            if new == text:
                continue
            name = path.relative_to(ROOT)
            if args.check:
                raise InputError(f"{name}: its tables are not those of docs/results.csv; run "
                                 "python scripts/docs_tables.py")  # fmt: skip
            with atomic_write(path) as temporary:
                temporary.write_text(new, encoding="utf-8")
            print(f"{name}: written")
        if args.check:
            print(f"all tables are those of docs/{RESULTS.name}")


if __name__ == "__main__":
    main()
