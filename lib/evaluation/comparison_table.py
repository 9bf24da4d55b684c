"""The table of two models on the same queries."""

from collections.abc import Sequence

from lib.evaluation.intervals import Difference, verdict
from lib.evaluation.protocols import ProtocolRanks
from lib.evaluation.records import Origin

LABEL = 34  # columns of a line's name
HEADER = (
    f"{'':<{LABEL}}  {' image to text ':-^20}  {' text to image ':-^20}\n"
    f"{'':<{LABEL}}" + f"  {'R@1':>6} {'R@5':>6} {'R@10':>6}" * 2 + f"  {'rSum':>7}"
)


def format_comparison(
    origins: Sequence[Origin],
    names: Sequence[str],
    found: Sequence[tuple[ProtocolRanks, ProtocolRanks, Difference]],
) -> str:
    """Of each protocol both models' figures, their difference with its interval and p, and what it
    means; at most 100 columns."""
    told = zip(names, origins, strict=True)
    lines = [f"{i}: {name} ({origin.title})" for i, (name, origin) in enumerate(told, 1)]
    for one, other, difference in found:
        lines += ["", HEADER, one.name]
        for number, ranks in enumerate((one, other), 1):
            lines.append(_line(f"  {number}", ranks.hits().mean(axis=0)))
        lines.append(_line("  1 less 2", difference.mean, "+"))
        interval = difference.interval
        for word, values in (("from", interval.low), ("to", interval.high)):
            lines.append(_line(f"    {interval.level:g}% interval, {word}", values, "+"))
        p = ["<0.001" if value < 1e-3 else f"{value:.3f}" for value in difference.p]
        lines.append(_cells("    p of the paired test", p))
        lines.append(verdict(difference))
    return "\n".join(lines)


def _line(label: str, values: Sequence[float], sign: str = "") -> str:
    return _cells(label, [f"{value:{sign}.1f}" for value in values])


def _cells(label: str, cells: Sequence[str]) -> str:
    i2t, t2i = (" ".join(f"{cell:>6}" for cell in cells[i : i + 3]) for i in (0, 3))
    return f"{label:<{LABEL}}  {i2t}  {t2i}  {cells[6]:>7}"
