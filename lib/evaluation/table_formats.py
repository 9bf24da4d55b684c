"""A table of runs as text for a terminal, Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Iterable
from itertools import islice

from lib.evaluation.report import few_pictures
from lib.evaluation.results_table import COLUMNS, FIGURES, PRECISIONS, Row, Spread, Table

NAME = 45  # columns of a row's name in a terminal, which makes 98 with the figures


def to_text(table: Table) -> str:
    """For a terminal of 100 columns: each row's name, the means of its recalls, and of rSum the
    standard deviation too; under it, what R@K is worth where there are few pictures."""
    names, last, shown = _shown(table)
    ways = "".join(f"  {f' {way} ':-^17}" for way in table.directions)
    columns = f"  {' '.join(f'{name:>5}' for name in names)}" * 2
    lines = [f"{table.title}", f"{'':<{NAME}}{ways}"]
    lines.append(f"{'':<{NAME}}{columns}" + (f"  {last:>13}" if last else ""))
    for row, figures in zip(_rows(table), shown, strict=True):
        cells = ["-" if figure.mean is None else f"{figure.mean:.1f}" for figure in figures]
        i2t, t2i = (" ".join(f"{cell:>5}" for cell in cells[i : i + 3]) for i in (0, 3))
        first, *rest = _folded(_name_of(row))
        rsum = f"  {figures[-1]!s:>13}" if last else ""
        lines.append(f"{first:<{NAME}}  {i2t}  {t2i}{rsum}")
        lines += [f"  {part}" for part in rest]
    lines += filter(None, [table.note, few_pictures(table.images)])
    return "\n".join(lines)


def _shown(table: Table) -> tuple[tuple[str, ...], str, list[list[Spread]]]:
    """The columns of either direction in a narrow table, the last one, and each row's figures."""
    rows = _rows(table)
    if len(table.columns) == len(COLUMNS):
        return ("R@1", "R@5", "R@10"), "rSum", [list(row.figures) for row in rows]
    places = [(*row.precisions[:2], row.figures[0], *row.precisions[2:], row.figures[3])
              for row in rows]  # fmt: skip
    return ("mAP@R", "R-P", "R@1"), "", [list(figures) for figures in places]


def _name_of(row: Row) -> str:
    crossing = f", {row.trained_on}" if "cross-dataset" in row.trained_on else ""
    if row.source != "ours":
        return f"{row.setting}, {row.features}: {row.source}"
    seeds = len(row.seeds.split(", "))
    several = f", {seeds} seeds" if seeds > 1 else ""
    return f"{row.setting}, {row.features}, {row.models}{several}{crossing}"


def _folded(text: str) -> list[str]:
    """Lines of at most NAME columns, the later ones two shorter, broken at blanks."""
    lines = [""]
    for word in text.split(" "):
        room = NAME if len(lines) == 1 else NAME - 2
        if lines[-1] and len(lines[-1]) + 1 + len(word) > room:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return lines


def to_markdown(table: Table) -> str:
    """The table under its title, and what R@K is worth where there are few pictures."""
    rows = [table.columns, *(row.cells() for row in (*table.rows, *table.published))]
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    notes = filter(None, [table.note, few_pictures(table.images)])
    few = [line for note in notes for line in ("", note)]
    rule = "|---" * len(table.columns) + "|"
    return "\n".join([f"### {table.title}", "", lines[0], rule, *lines[1:], *few])


def _escape(text: str) -> str:
    for sign in "\\&%$#_{}":
        text = text.replace(sign, f"\\{sign}" if sign != "\\" else r"\textbackslash ")
    return text.replace("±", r"$\pm$")


def _blocks(table: Table) -> list[list[Row]]:
    """Single models, ensembles, and published rows, those that there are."""
    singles = [row for row in table.rows if row.models == "single"]
    ensembles = [row for row in table.rows if row.models != "single"]
    return [rows for rows in (singles, ensembles, table.published) if rows]


def to_latex(table: Table) -> str:
    """A tabular of all columns, with rules between singles and ensembles and before published
    rows."""

    def lines(rows: Iterable[Iterable[str]]) -> str:
        return "\n".join(" & ".join(map(_escape, cells)) + r" \\" for cells in rows)

    blocks = [lines(map(Row.cells, rows)) for rows in _blocks(table)]
    words = len(COLUMNS) - len(FIGURES) - 1
    columns = "l" * words + "r" * (len(table.columns) - words - 1) + "l"
    body = "\n\\hline\n".join(["", lines([table.columns]), *blocks, ""]).strip()
    return f"% {table.title}\n\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}"


def to_paper(table: Table) -> str:
    """A tabular for a paper: booktabs' rules, the best of each column in bold, and no bookkeeping.
    Needs ``\\usepackage{booktabs}``."""
    names, last, shown = _shown(table)
    columns = zip(*([_rounded(figure) for figure in figures] for figures in shown), strict=True)
    best = [max((v for v in column if v is not None), default=None) for column in columns]
    lines = iter([_paper_line(row, figures, best) for row, figures in _with_figures(table)])
    blocks = ["\n".join(islice(lines, len(rows))) for rows in _blocks(table)]
    first, second = (way.capitalize() for way in table.directions)
    above = rf" & & \multicolumn{{3}}{{c}}{{{first}}} & \multicolumn{{3}}{{c}}{{{second}}}"
    body = "\n\\midrule\n".join(blocks)
    return "\n".join(
        [
            f"% {table.title}; needs \\usepackage{{booktabs}}{_spread_of(table)}",
            rf"\begin{{tabular}}{{llcccccc{'c' if last else ''}}}",
            r"\toprule",
            above + (r" & \\" if last else r" \\"),
            r"\cmidrule(lr){3-5} \cmidrule(lr){6-8}",
            " & ".join(["Method", "Features", *names, *names, *filter(None, [last])]) + r" \\",
            r"\midrule",
            body,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _with_figures(table: Table) -> list[tuple[Row, list[Spread]]]:
    """The rows in the order of :func:`_blocks`, with what a narrow table shows of them."""
    _, _, shown = _shown(table)
    of_row = {id(row): figures for row, figures in zip(_rows(table), shown, strict=True)}
    return [(row, of_row[id(row)]) for rows in _blocks(table) for row in rows]


def _rows(table: Table) -> list[Row]:
    return [*table.rows, *table.published]


def _spread_of(table: Table) -> str:
    counts = {len(row.seeds.split(", ")) for row in table.rows if row.figures[-1].sd is not None}
    told = " or ".join(map(str, sorted(counts)))
    return f"; small: standard deviation over {told} seeds" if counts else ""


def _rounded(figure: Spread) -> float | None:
    return None if figure.mean is None else round(figure.mean, 1)


def _paper_line(row: Row, figures: list[Spread], best: list[float | None]) -> str:
    cells = []
    for figure, most in zip(figures, best, strict=True):
        value = _rounded(figure)
        text = "--" if value is None else f"{value:.1f}"
        text = rf"\textbf{{{text}}}" if value is not None and value == most else text
        cells.append(text + ("" if figure.sd is None else rf" {{\scriptsize$\pm${figure.sd:.1f}}}"))
    several = "" if row.models in ("single", "not stated") else f" ({row.models})"
    crossing = ", cross-dataset" if "cross-dataset" in row.trained_on else ""
    name = _escape(row.setting + several + crossing)
    features = "--" if row.features == "not stated" else _escape(row.features)
    return " & ".join([name, features, *cells]) + r" \\"


def to_csv(tables: Iterable[Table]) -> str:
    """All tables as one, unrounded; a figure and its standard deviation are columns. Those of
    benchmarks with many right answers are there where a table has them."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    tables = list(tables)
    more = PRECISIONS if any(len(table.columns) > len(COLUMNS) for table in tables) else ()
    names = (*FIGURES, *more)
    words = COLUMNS[: -len(FIGURES) - 1]
    deviations = [f"{name} sd" for name in names]
    writer.writerow(["table", *words, *names, *deviations, COLUMNS[-1]])
    for table in tables:
        for row in _rows(table):
            none = (Spread(None),) * (len(names) - len(FIGURES) - len(row.precisions))
            figures = (*row.figures, *row.precisions, *none)
            means, spreads = ([f.mean for f in figures], [f.sd for f in figures])
            values = ["" if value is None else repr(value) for value in (*means, *spreads)]
            writer.writerow([table.title, *row.cells()[: len(words)], *values, row.source])
    return file.getvalue()
