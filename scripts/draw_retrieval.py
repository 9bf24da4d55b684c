"""Draws what a model retrieves: the best pictures of sentences, the best sentences of pictures.

python scripts/draw_retrieval.py --embeddings E --data data/f8k_precomp --images IMAGES --out r.png
python scripts/draw_retrieval.py --embeddings E --data data/f8k_precomp --images IMAGES \\
    --out r.jpg --checkpoint model_best.pth --query "two dogs on a beach" "a man on a bicycle"

E is of eval.py --save_embeddings. Sentences are of the data set, and those of --query, of which
nobody has said which picture is right. Green is right, red is not.
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
from PIL.PngImagePlugin import PngInfo

from lib.arguments import path_arg
from lib.data.captions import CAPTIONS_PER_IMAGE, read_captions
from lib.data.pictures import PictureError, PictureFolder
from lib.errors import InputError, exit_on_error
from lib.evaluation.arguments import add_locations, locations_in
from lib.evaluation.scores import read_embeddings
from lib.evaluation.search import search
from lib.files import atomic_write
from lib.outputs import check_outputs

TOP = 5
DRAWN = "retrieved"  # begins a drawing's comment, which tells of which embeddings and split it is
SIDE = 170  # pixels of a picture's longer side
LINE = 22
GAP = 14
FRAME = 5
LEFT = 270  # where the results begin
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
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
        for i, line in enumerate(textwrap.wrap(text, 32)):
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


def draw(args: argparse.Namespace) -> int:
    """Draw what the arguments ask for; returns how many pictures are shown."""
    images, texts, ids = read_embeddings(args.embeddings)
    captions = read_captions(args.data / f"{args.split}_caps.txt")
    if len(captions) != len(texts):
        raise InputError(
            f"{args.data}: {args.split} has {len(captions)} captions, expected {len(texts)}"
        )
    found = []
    if args.query:
        about = (args.checkpoint, [args.embeddings], args.query, TOP)
        found = search(*about, locations_in(args))
    scores = images @ texts.T
    chosen = np.random.default_rng(args.seed).permutation(len(images))
    sentences = chosen[: args.queries] * CAPTIONS_PER_IMAGE
    galleries = chosen[args.queries : 2 * args.queries]
    own = args.data / "pictures.json"
    mapping = args.mapping or (own if own.is_file() else None)
    pictures = PictureFolder(args.images or args.data / "images", mapping)
    rows = len(found) + len(sentences) + len(galleries)
    sheet = Sheet(pictures, rows, sum(map(bool, (found, len(sentences), len(galleries)))))
    if found:
        sheet.heading("Sentences of one's own to pictures")
        for query, results in zip(args.query, found, strict=True):
            sheet.paragraph(query)
            for place, (score, image_id) in enumerate(results):
                sheet.picture(LEFT + place * (SIDE + GAP), image_id, UNKNOWN, f"{score:.3f}")
            sheet.next_row()
        sheet.y += GAP
    if len(sentences):
        sheet.heading("Sentence to picture (green: the sentence's own picture)")
    for caption in sentences:
        order, image = np.argsort(-scores[:, caption], kind="stable"), caption // CAPTIONS_PER_IMAGE
        rank = int(np.flatnonzero(order == image)[0]) + 1
        beyond = f" (its own is number {rank})" if rank > TOP else ""
        sheet.paragraph(captions[caption] + beyond)
        for place, number in enumerate(order[:TOP]):
            frame = RIGHT if number == image else WRONG
            score = f"{scores[number, caption]:.3f}"
            sheet.picture(LEFT + place * (SIDE + GAP), ids[number], frame, score)
        sheet.next_row()
    sheet.y += GAP if len(sentences) else 0
    if len(galleries):
        sheet.heading("Picture to sentence (green: one of the picture's own)")
    for image in galleries:
        sheet.picture(GAP, ids[image])
        order = np.argsort(-scores[image], kind="stable")
        rank = int(np.flatnonzero(order // CAPTIONS_PER_IMAGE == image)[0]) + 1
        for place, caption in enumerate(order[:TOP]):
            colour = RIGHT if caption // CAPTIONS_PER_IMAGE == image else WRONG
            line = textwrap.shorten(f"{scores[image, caption]:.3f}  {captions[caption]}", 108)
            sheet.text(LEFT - 60, sheet.y + 8 + 27 * place, line, colour)
        if rank > TOP:
            told = f"its own first sentence is number {rank}"
            sheet.text(LEFT - 60, sheet.y + 8 + 27 * TOP, told)
        sheet.next_row()
    save(sheet.image, args.out, comment_of(args))
    return len(sheet.shown)


def comment_of(args: argparse.Namespace) -> str:
    """What a drawing's file says of itself."""
    return f"{DRAWN} {args.embeddings} {args.split}"


def save(image: Image.Image, out: Path, comment: str) -> None:
    """Write a PNG, or a small JPEG, by the name's end."""
    with atomic_write(out) as temporary:
        if FORMATS[out.suffix.lower()] == "PNG":
            about = PngInfo()
            about.add_text("comment", comment)
            image.save(temporary, "PNG", pnginfo=about)
        else:
            image.save(
                temporary, "JPEG", quality=75, optimize=True, progressive=True, comment=comment
            )


def require_replaceable(comment: str, path: Path) -> None:
    """The rule for the drawing: an earlier one of the same embeddings and split."""
    try:
        with Image.open(path) as picture:
            found = picture.info.get("comment")
    except Exception:  # Pillow's decoders fail on other files in many ways
        found = None
    found = found.decode("utf-8", "replace") if isinstance(found, bytes) else found
    if found != comment:
        source = comment.removeprefix(f"{DRAWN} ")
        raise InputError(f"{path}: is there and is no drawing of {source}; choose another --out")


def main(words: list[str] | None = None) -> None:
    """Draw what the command line, or ``words`` instead of it, asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--embeddings", type=path_arg, required=True, help="of eval.py")
    parser.add_argument("--data", type=path_arg, required=True, help="holds {split}_caps.txt")
    parser.add_argument("--images", type=path_arg, help="of pictures; default: images/ in --data")
    parser.add_argument(
        "--mapping", type=path_arg, help="image id -> file; default: pictures.json in --data"
    )
    parser.add_argument("--split", default="test")
    parser.add_argument("--out", type=path_arg, required=True, help="a .png or .jpg")
    parser.add_argument("--queries", type=int, default=5, help="sentences, and pictures, to show")
    parser.add_argument("--seed", type=int, default=0, help="chooses them")
    parser.add_argument("--query", nargs="+", help="sentences of one's own; with --checkpoint")
    parser.add_argument("--checkpoint", help="of the embeddings, to encode --query")
    add_locations(parser, searchable=True)
    args = parser.parse_args(words)
    if args.queries < 0 or args.seed < 0 or not (args.queries or args.query):
        parser.error("--queries must be at least 1, or 0 with --query; --seed at least 0")
    if bool(args.query) != bool(args.checkpoint):
        parser.error("--query and --checkpoint go together")
    with exit_on_error():
        if args.out.suffix.lower() not in FORMATS:
            raise InputError(f"{args.out}: expected a name that ends in {', '.join(FORMATS)}")
        replaceable = partial(require_replaceable, comment_of(args))
        check_outputs([(args.out, replaceable)], [args.embeddings])
        print(f"{args.out}: drawn, {draw(args)} pictures")


if __name__ == "__main__":
    main()
