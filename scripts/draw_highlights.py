"""Draws what a model looks at in pictures: each map over the picture, side by side.

python scripts/draw_highlights.py --run runs/f8k/region-0 --images IMAGES --out highlights.png
python scripts/draw_highlights.py --run runs/f8k/region-0 --images IMAGES --out highlights.pdf \\
    --picture 1000268201 --sentence "a girl climbs the stairs" --maps VSeM "score: what it adds"

A row is a picture and a sentence, by default its own first one: the picture, a map for each of what
the model has to show of regions and cells, and the attention of the region that matters most.
Colours run from the least to the most of each map, yellow to red; blue is below zero. Attention
over the label map is drawn by its square root.
"""

import argparse
import sys
import textwrap
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lib  # noqa: F401  # isort: skip - from here on Ctrl-C leaves quietly

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lib.arguments import new_parser, path_arg
from lib.checkpoint import checkpoint_of
from lib.data.pictures import PictureError, PictureFolder
from lib.display.arguments import add_arguments, galleries_of, pictures_of, split_of
from lib.display.drawing import require_format, require_replaceable, save
from lib.display.gallery import Gallery, Shown
from lib.display.overlay import over, pair_layer, region_heat, relative
from lib.errors import InputError, exit_on_error
from lib.outputs import check_outputs

DRAWN = "highlights"  # begins a drawing's comment
SIDE, GAP, LINE, LETTER = 210, 12, 19, 9  # pixels
INK, DIM = (30, 30, 35), (100, 105, 115)
Panel = tuple[str, Image.Image]


def panels_of(shown: Shown, picture: Image.Image) -> list[Panel]:
    """The picture, and each map over it, with a title."""
    maps, found = shown.maps, [("picture", picture)]
    real = maps.mask[0].numpy(force=True)
    best = pair_layer(shown)
    if shown.boxes is not None:
        for name, values in maps.regions.items():
            heat = region_heat(values[0].numpy(force=True)[real], shown.boxes, picture.size)
            found.append((name, over(picture, heat)))
        if maps.attention and best is not None:
            found.append(
                (best.name, over(picture, region_heat(best.values, shown.boxes, picture.size)))
            )
    for name, values in maps.places.items():
        found.append(
            (name, over(picture, _stretched(values[0].numpy(force=True), picture.size, False)))
        )
    chosen = 0 if best is None else int(best.values.argmax())
    for name, values in maps.maps.items():
        # Attention on some dozens of thousands of places: by the root more than the peaks is seen.
        root = values[0, chosen].sqrt().numpy(force=True)
        heat = _stretched(root, picture.size, smooth=True)
        found.append((f"{name} of region {chosen + 1}", over(picture, heat)))
    return found


def _stretched(values: np.ndarray, size: tuple[int, int], smooth: bool) -> np.ndarray:
    """(S, S) values -> (height, width) heat in [-1, 1]."""
    kind = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    plane = Image.fromarray(relative(values).astype(np.float32))
    return np.asarray(plane.resize(size, kind), np.float64).clip(-1, 1)


def chosen_of(panels: list[Panel], maps: list[str] | None) -> list[Panel]:
    """The picture, and the maps of these titles, or whose titles begin so. Raises InputError: none
    does."""
    if maps is None:
        return panels
    titles, kept = [title for title, _ in panels[1:]], set()
    for wanted in maps:
        found = {title for title in titles if title.startswith(wanted)}
        if not found:
            raise InputError(
                f"--maps {wanted}: there is no such map; there are {', '.join(titles)}"
            )
        kept |= {wanted} if wanted in found else found
    return panels[:1] + [panel for panel in panels[1:] if panel[0] in kept]


def draw(
    gallery: Gallery,
    rows: list[tuple[int, str]],
    pictures: PictureFolder,
    maps: list[str] | None = None,
) -> Image.Image:
    """A sheet with a row for each picture and sentence, of all maps or of some. Raises InputError:
    no such picture, or no such map."""
    drawn: list[tuple[str, list[Panel]]] = []
    for image, sentence in rows:
        image_id = gallery.split.image_ids[image]
        try:
            picture = pictures.read(image_id)
        except PictureError as error:
            raise InputError(f"{pictures.folder}: image {image_id}: {error}") from error
        shown = gallery.explain(image, sentence, picture.size)
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        drawn.append(
            (f"{sentence}  ({shown.score:.3f})", chosen_of(panels_of(shown, picture), maps))
        )
    width = GAP + max(len(panels) for _, panels in drawn) * (SIDE + GAP)
    titles = [textwrap.wrap(sentence, width // LETTER) for sentence, _ in drawn]
    heights = [
        max(p.height for _, p in panels) + (2 + len(lines)) * LINE + GAP
        for lines, (_, panels) in zip(titles, drawn, strict=True)
    ]
    sheet = Image.new("RGB", (width, GAP + sum(h + LINE for h in heights)), "white")
    pen, y = ImageDraw.Draw(sheet), GAP
    font, small = ImageFont.load_default(16), ImageFont.load_default(12)
    for lines, (_, panels), height in zip(titles, drawn, heights, strict=True):
        for i, line in enumerate(lines):
            pen.text((GAP, y + i * LINE), line, INK, font)
        below = y + len(lines) * LINE
        for number, (title, picture) in enumerate(panels):
            x = GAP + number * (SIDE + GAP)
            sheet.paste(picture, (x, below + 6))
            for i, line in enumerate(textwrap.wrap(title, 34)[:2]):
                pen.text((x, below + 8 + picture.height + 15 * i), line, DIM, small)
        y += height + LINE
    return sheet


def rows_of(args: argparse.Namespace, gallery: Gallery) -> list[tuple[int, str]]:
    """Numbers of pictures, with sentences. Raises InputError: no such picture."""
    ids, captions = gallery.split.image_ids, gallery.split.captions
    if args.picture is None:
        generator = np.random.default_rng(args.seed)
        numbers = generator.permutation(len(ids))[: args.count].tolist()
    else:
        if unknown := [i for i in args.picture if i not in gallery.number]:
            raise InputError(
                f"--picture {unknown[0]}: is no id of {gallery.target.dataset} "
                f"{gallery.target.split}, such as {ids[0]}"
            )
        numbers = [gallery.number[i] for i in args.picture]
    sentences = args.sentence or [captions[gallery.own(i)[0]] for i in numbers]
    return list(zip(numbers, sentences, strict=True))


def main(words: list[str] | None = None) -> None:
    """Draw what the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "--run", type=path_arg, required=True, help="a run's folder, or a checkpoint"
    )
    parser.add_argument(
        "--out", type=path_arg, required=True, help="the picture to write, .png, .jpg or .pdf"
    )
    parser.add_argument(
        "--picture", nargs="+", help="image ids; default: --count of the split, chosen by --seed"
    )
    parser.add_argument(
        "--sentence", nargs="+", help="one for each --picture; default: its own first caption"
    )
    parser.add_argument(
        "--maps",
        nargs="+",
        help="titles of the maps to draw, or how they begin, as VSeM; default: all of them",
    )
    parser.add_argument("--count", type=int, default=4, help="how many pictures to choose")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of pictures")
    add_arguments(parser)
    args = parser.parse_args(words)
    if args.count < 1 or args.seed < 0:
        parser.error("--count must be at least 1, --seed at least 0")
    if args.sentence is not None and len(args.sentence) != len(args.picture or ()):
        parser.error("--sentence wants as many sentences as --picture has ids")
    with exit_on_error():
        require_format(args.out)
        comment = f"{DRAWN} {args.run} {split_of(args, args.run)}"
        replaceable = partial(require_replaceable, comment)
        check_outputs([(args.out, replaceable)], [checkpoint_of(args.run)])
        pictures = pictures_of(args, [args.run])
        if pictures is None:
            raise InputError("there are no pictures by the data; pass --images FOLDER")
        (gallery,) = galleries_of(args, [args.run])
        rows = rows_of(args, gallery)
        save(draw(gallery, rows, pictures, args.maps), args.out, comment)
        print(f"{args.out}: drawn, {len(rows)} picture{'s' * (len(rows) > 1)}")


if __name__ == "__main__":
    main()
