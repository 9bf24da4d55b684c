"""Draws what a model retrieves: the best pictures of sentences, the best sentences of pictures.

python scripts/draw_retrieval.py --run runs/f8k/region-0 --images IMAGES --out retrieved.png
python scripts/draw_retrieval.py --run runs/f8k/region-0 --images IMAGES --out retrieved.pdf \\
    --query "two dogs on a beach" "a man on a bicycle"
python scripts/draw_retrieval.py --embeddings E --data data/f8k_precomp --images IMAGES --out r.jpg

A run is a folder of train.py, or a checkpoint of any family; its split is encoded once and kept, as
scripts/explore.py keeps it. E is of eval.py --save_embeddings. Sentences are of the data set, and
those of --query, of which nobody has said which picture is right. Green is right, red is not.
"""

import argparse
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lib  # noqa: F401  # isort: skip - from here on Ctrl-C leaves quietly

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lib.arguments import new_parser, path_arg
from lib.checkpoint import checkpoint_of, source_of
from lib.data.captions import CAPTIONS_PER_IMAGE, read_captions
from lib.data.pictures import PictureError, PictureFolder
from lib.display.arguments import add_arguments, galleries_of, pictures_of, split_of
from lib.display.drawing import require_format, require_replaceable, save
from lib.errors import InputError, exit_on_error
from lib.evaluation.arguments import locations_in
from lib.evaluation.protocols import default_split
from lib.evaluation.saved_embeddings import SavedEmbeddings
from lib.evaluation.search import search
from lib.evaluation.vectors import Vectors, top
from lib.outputs import check_outputs

TOP = 5
DRAWN = "retrieved"  # begins a drawing's comment, which tells of which embeddings and split it is
SIDE = 170  # pixels of a picture's longer side
LINE = 22
GAP = 14
FRAME = 5
LEFT = 270  # where the results begin
RIGHT, WRONG, UNKNOWN, INK = (30, 150, 60), (205, 45, 45), (150, 150, 155), (30, 30, 35)
Colour = tuple[int, int, int]


class Sheet:
    """The drawing, filled row by row."""

    def __init__(self, pictures: PictureFolder, rows: int, headings: int):
        height = GAP + headings * (34 + GAP) + rows * (SIDE + LINE + GAP)
        self.image = Image.new("RGB", (LEFT + TOP * (SIDE + GAP) + GAP, height), "white")
        self.draw = ImageDraw.Draw(self.image)
        self.pictures, self.y = pictures, GAP
        self.shown: set[str] = set()

    def text(self, x: int, y: int, text: str, colour: Colour = INK, size: int = 15) -> None:
        """A line of text."""
        self.draw.text((x, y), text, colour, ImageFont.load_default(size))

    def paragraph(self, text: str) -> None:
        """A query's text, at the left of its row."""
        for i, line in enumerate(textwrap.wrap(text, 32, max_lines=SIDE // 20, placeholder=" ...")):
            self.text(GAP, self.y + 8 + 20 * i, line)

    def heading(self, text: str) -> None:
        """What the rows beneath show."""
        self.text(GAP, self.y, text, size=20)
        self.y += 34

    def picture(self, x: int, image_id: str, frame: Colour | None = None, below: str = "") -> None:
        """A picture in its proportions, with a frame that says whether it is right."""
        try:
            picture = self.pictures.read(image_id)
        except PictureError as error:
            raise InputError(f"{self.pictures.folder}: image {image_id}: {error}") from error
        picture.thumbnail((SIDE - 2 * FRAME, SIDE - 2 * FRAME), Image.Resampling.LANCZOS)
        width, height = picture.size
        left, top = x + (SIDE - width) // 2, self.y + (SIDE - height) // 2
        if frame:
            corners = (
                left - FRAME,
                top - FRAME,
                left + width + FRAME - 1,
                top + height + FRAME - 1,
            )
            self.draw.rectangle(corners, fill=frame)
        self.image.paste(picture, (left, top))
        self.text(x + 4, self.y + SIDE + 1, below, frame or INK, 13)
        self.shown.add(image_id)

    def next_row(self) -> None:
        """Go on below the row."""
        self.y += SIDE + LINE + GAP


@dataclass(frozen=True)
class Source:
    """What is drawn: a split and a model's scores on it."""

    image_ids: list[str]
    captions: list[str]
    pictures: Callable[[int], np.ndarray]  # a sentence's number -> (n,) scores
    sentences: Callable[[int], np.ndarray]  # a picture's number -> (5n,) scores
    found: list[list[tuple[float, str]]]  # of each --query: scores and image ids, best first


def source_to_draw(args: argparse.Namespace) -> Source:
    """The scores of a run, or of saved embeddings. Raises InputError: they are not of --data."""
    queries = args.query or []
    if args.run is not None:
        (gallery,) = galleries_of(args, [args.run])
        ids, captions = gallery.split.image_ids, gallery.split.captions
        found = []
        for query in queries:
            scores = gallery.search(query)
            found.append([(float(scores[i]), ids[i]) for i in top(scores, TOP)])
        return Source(
            ids, captions, lambda i: gallery.search(captions[i]), gallery.sentences, found
        )
    saved = SavedEmbeddings(args.embeddings)
    ids = saved.image_ids
    split = embedded_split(args)
    captions = read_captions(args.data / f"{split}_caps.txt")
    if len(captions) != saved.shape[1]:
        raise InputError(
            f"{args.data}: {split} has {len(captions)} captions, expected {saved.shape[1]}"
        )
    found = []
    if queries:
        about = (args.checkpoint, [Vectors(args.embeddings)], queries, TOP)
        results = search(*about, locations_in(args))
        found = [[(one.score, one.image_id) for one in some] for some in results]
    return Source(
        ids, captions, lambda i: saved[:, i : i + 1][:, 0], lambda i: saved[i : i + 1][0], found
    )


def embedded_split(args: argparse.Namespace) -> str:
    """The split that --embeddings should be of."""
    return args.split or default_split(args.data.name.removesuffix("_precomp"))


def pictures_to_draw(args: argparse.Namespace) -> PictureFolder:
    """Raises InputError: nobody says where they are."""
    if args.run is not None:
        pictures = pictures_of(args, [args.run])
        if pictures is None:
            raise InputError("there are no pictures by the data; pass --images FOLDER")
        return pictures
    own = args.data / "pictures.json"
    mapping = args.mapping or (own if own.is_file() else None)
    return PictureFolder(args.images or args.data / "images", mapping)


def draw(args: argparse.Namespace) -> int:
    """Draw what the arguments ask for; returns how many pictures are shown."""
    pictures = pictures_to_draw(args)
    source = source_to_draw(args)
    ids, captions, found = source.image_ids, source.captions, source.found
    chosen = np.random.default_rng(args.seed).permutation(len(ids))
    sentences = chosen[: args.queries] * CAPTIONS_PER_IMAGE
    galleries = chosen[args.queries : 2 * args.queries]
    rows = len(found) + len(sentences) + len(galleries)
    sheet = Sheet(pictures, rows, sum(map(bool, (found, len(sentences), len(galleries)))))
    if found:
        sheet.heading("Your sentences")
        for query, results in zip(args.query, found, strict=True):
            sheet.paragraph(query)
            for place, (score, image_id) in enumerate(results):
                sheet.picture(LEFT + place * (SIDE + GAP), image_id, UNKNOWN, f"{score:.3f}")
            sheet.next_row()
        sheet.y += GAP
    if len(sentences):
        sheet.heading("Sentence to picture (green: the sentence's own picture)")
    for caption in sentences:
        scores, image = source.pictures(caption), caption // CAPTIONS_PER_IMAGE
        order = np.argsort(-scores, kind="stable")
        rank = int(np.flatnonzero(order == image)[0]) + 1
        beyond = f" (its own picture is number {rank})" if rank > TOP else ""
        sheet.paragraph(captions[caption] + beyond)
        for place, number in enumerate(order[:TOP]):
            frame = RIGHT if number == image else WRONG
            score = f"{scores[number]:.3f}"
            sheet.picture(LEFT + place * (SIDE + GAP), ids[number], frame, score)
        sheet.next_row()
    sheet.y += GAP if len(sentences) else 0
    if len(galleries):
        sheet.heading("Picture to sentence (green: one of the picture's own)")
    for image in galleries:
        sheet.picture(GAP, ids[image])
        scores = source.sentences(image)
        order = np.argsort(-scores, kind="stable")
        rank = int(np.flatnonzero(order // CAPTIONS_PER_IMAGE == image)[0]) + 1
        for place, caption in enumerate(order[:TOP]):
            colour = RIGHT if caption // CAPTIONS_PER_IMAGE == image else WRONG
            line = textwrap.shorten(f"{scores[caption]:.3f}  {captions[caption]}", 108)
            sheet.text(LEFT - 60, sheet.y + 8 + 27 * place, line, colour)
        if rank > TOP:
            told = f"its best own sentence is number {rank}"
            sheet.text(LEFT - 60, sheet.y + 8 + 27 * TOP, told)
        sheet.next_row()
    save(sheet.image, args.out, comment_of(args))
    return len(sheet.shown)


def comment_of(args: argparse.Namespace) -> str:
    """What a drawing's file says of itself."""
    if args.run is not None:
        return f"{DRAWN} {args.run} {split_of(args, args.run)}"
    return f"{DRAWN} {args.embeddings} {embedded_split(args)}"


def main(words: list[str] | None = None) -> None:
    """Draw what the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", type=path_arg, help="a run's folder, or a checkpoint")
    what.add_argument(
        "--embeddings",
        type=path_arg,
        help="a file or folder of eval.py --save_embeddings; needs --data",
    )
    parser.add_argument(
        "--out", type=path_arg, required=True, help="the picture to write, .png, .jpg or .pdf"
    )
    parser.add_argument(
        "--queries",
        type=int,
        default=5,
        help="how many sentences, and as many pictures, to choose as queries",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the choice of queries")
    parser.add_argument("--query", nargs="+", help="sentences of one's own")
    parser.add_argument("--checkpoint", help="the model of --embeddings, to encode --query with")
    add_arguments(parser)
    args = parser.parse_args(words)
    if args.queries < 0 or args.seed < 0 or not (args.queries or args.query):
        parser.error("--queries must be at least 1, or 0 with --query; --seed at least 0")
    if args.query is not None and not all(query.strip() for query in args.query):
        parser.error("no --query may be empty")
    if args.embeddings is not None and args.data is None:
        parser.error("--embeddings goes with --data")
    if args.run is not None and args.checkpoint is not None:
        parser.error("--checkpoint is for --embeddings; a run has its own")
    if args.embeddings is not None and bool(args.query) != bool(args.checkpoint):
        parser.error("with --embeddings, --query and --checkpoint go together")
    with exit_on_error():
        if args.checkpoint is not None:
            args.checkpoint = source_of(args.checkpoint)
        require_format(args.out)
        replaceable = partial(require_replaceable, comment_of(args))
        read = [args.embeddings] if args.run is None else [checkpoint_of(args.run)]
        check_outputs([(args.out, replaceable)], read)
        count = draw(args)
        print(f"{args.out}: drawn, {count} picture{'s' * (count > 1)}")


if __name__ == "__main__":
    main()
