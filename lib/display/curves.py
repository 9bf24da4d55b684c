"""Learning curves, read from TensorBoard's files and drawn (matplotlib; an extra)."""

import io
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

CURVES = {
    "dev/rSum": "rSum on dev",
    "loss": "loss of a pair",
    "score/gap": "gap between the own and the hardest other",
}
Curve = tuple[list[int], list[float]]  # updates and values


def read_curves(folder: Path) -> dict[str, Curve]:
    """Those of CURVES that a run's ``tensorboard/`` has; none where there is no such folder. What a
    resumed run computed again counts, and not what it had computed before."""
    if not folder.is_dir():
        return {}
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    found = {}
    for name in CURVES:
        if name in events.Tags()["scalars"]:
            points = {event.step: event.value for event in events.Scalars(name)}
            found[name] = (sorted(points), [points[step] for step in sorted(points)])
    return found


def draw_curves(name: str, runs: dict[str, Curve]) -> str:
    """One figure of all runs that have the curve, as SVG."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.2), layout="constrained")
    axes = figure.subplots()
    for number, (run, (steps, values)) in enumerate(runs.items()):
        marker = "o" if len(steps) < 40 else None
        axes.plot(steps, values, label=run, color=f"C{number}", marker=marker, markersize=3)
    axes.set(title=CURVES[name], xlabel="update")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if len(runs) > 1:
        axes.legend(fontsize="small", frameon=False)
    content = io.StringIO()
    with rc_context({"svg.hashsalt": name}):  # equal curves are equal files
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    svg = content.getvalue()
    return svg[svg.index("<svg") :]
