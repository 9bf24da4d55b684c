"""Runs on one split side by side, in one HTML file that needs no other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup

from lib.data.captions import CAPTIONS_PER_IMAGE
from lib.data.pictures import PictureError, PictureFolder
from lib.display.comparison import Judged, best_and_worst, by_length, differing, most_different
from lib.display.curves import CURVES, draw_curves, read_curves
from lib.display.overlay import over, pair_layer, region_heat
from lib.display.thumbnail import data_address, reduced

TEMPLATE = "report.html"
MARK = "image-sentence report"  # of the file, which tells ours from a user's


@dataclass(frozen=True)
class Thumbnail:
    """A picture as a data address, and what is written beneath."""

    picture: str | None
    caption: str
    right: bool


@dataclass(frozen=True)
class Example:
    """A query, its own picture and the first one, with what the model looked at."""

    query: str
    rank: int  # of its own picture, from 1
    thumbnails: list[Thumbnail]


def example(run: Judged, query: int, pictures: PictureFolder | None) -> Example:
    """A query's own picture and, where it is another, the first one."""
    own, first = query // CAPTIONS_PER_IMAGE, int(run.scores[:, query].argmax())
    text, rank = run.gallery.split.captions[query], int(run.t2i[query]) + 1
    thumbnails = [_thumbnail(run, own, query, pictures, f"its own, number {rank}", True)]
    if rank > 1:
        thumbnails.append(_thumbnail(run, first, query, pictures, "number 1", False))
    return Example(text, rank, thumbnails)


def _thumbnail(
    run: Judged, image: int, query: int, pictures: PictureFolder | None, told: str, right: bool
) -> Thumbnail:
    gallery, picture, size = run.gallery, None, None
    image_id = gallery.split.image_ids[image]
    if pictures is not None:
        try:
            picture = pictures.read(image_id)
            size = picture.size
        except PictureError:
            picture = None
    told = f"{told}, {run.scores[image, query]:.3f}"
    if picture is None:
        return Thumbnail(None, f"{image_id}: {told}", right)
    shown = gallery.explain(image, gallery.split.captions[query], size)
    layer = pair_layer(shown)
    picture = reduced(picture)
    if layer is not None and shown.boxes is not None:
        picture = over(picture, region_heat(layer.values, shown.boxes, picture.size))
    return Thumbnail(data_address(picture), told, right)


def layer_name(run: Judged) -> str | None:
    """What lies over a run's thumbnails."""
    shown = run.gallery.explain(0, run.gallery.split.captions[0], None)
    layer = pair_layer(shown)
    return None if layer is None or shown.boxes is None else layer.name


def build_report(
    runs: Sequence[Judged], pictures: PictureFolder | None, examples: int, command: str
) -> str:
    """The HTML of a report with so many best and worst ``examples`` of each run; ``command`` is
    told as what made it."""
    first = runs[0].gallery
    curves = {run.name: read_curves(run.gallery.run / "tensorboard") for run in runs}
    figures = []
    for name in CURVES:
        having = {run: found[name] for run, found in curves.items() if name in found}
        if having:
            figures.append(Markup(draw_curves(name, having)))
    sections = []
    for run in runs:
        best, worst = best_and_worst(run, examples)
        for title, queries in (("best", best), ("worst", worst)):
            found = [example(run, query, pictures) for query in queries]
            sections.append((f"{run.name}: {title} queries", found))
    if len(runs) > 1:
        one, other, *_ = runs
        for better, worse, queries in zip(
            (one, other), (other, one), most_different(one, other, examples), strict=True
        ):
            found = [example(better, query, pictures) for query in queries]
            told = [int(worse.t2i[query]) + 1 for query in queries]
            named = [
                Example(f"{e.query} ({worse.name}: number {r})", e.rank, e.thumbnails)
                for e, r in zip(found, told, strict=True)
            ]
            sections.append((f"{better.name} finds what {worse.name} does not", named))
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape(["html"])
    )
    return environment.get_template(TEMPLATE).render(
        mark=MARK,
        title=f"{first.target.dataset} {first.target.split}",
        pictures=len(first.split.image_ids),
        sentences=len(first.split.captions),
        command=command,
        runs=runs,
        results=[(run.name, result) for run in runs for result in run.results],
        differing=differing(runs),
        figures=figures,
        lengths=[(run.name, by_length(run)) for run in runs],
        layers=[(run.name, layer_name(run)) for run in runs],
        sections=sections,
        shown=pictures is not None,
    )
