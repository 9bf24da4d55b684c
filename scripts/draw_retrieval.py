"""Draws what a model retrieves: top-5 pictures of sentences, top-5 sentences of pictures."""

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
from lib.data.pictures import PictureError, decode
from lib.errors import InputError, exit_on_error
from lib.evaluation.scores import read_embeddings
from lib.files import atomic_write
from lib.outputs import check_outputs

TOP = 5
DRAWN = "retrieved"  # a PNG's text: of which embeddings and split it is
SIDE = 150  # pixels of a picture
GAP = 14
FRAME = 6
LEFT = 250  # where the results begin
RIGHT, WRONG, INK = (30, 150, 60), (205, 45, 45), (30, 30, 35)


class Sheet:
    """The drawing, filled row by row."""

    def __init__(self, rows: int):
        self.image = Image.new("RGB", (LEFT + TOP * (SIDE + GAP) + GAP, rows), "white")
        self.draw = ImageDraw.Draw(self.image)
        self.y = GAP

    def text(self, x: int, y: int, text: str, colour: tuple, size: int = 15) -> None:
        self.draw.text((x, y), text, colour, ImageFont.load_default(size))

    def heading(self, text: str) -> None:
        self.text(GAP, self.y, text, INK, 20)
        self.y += 34

    def picture(self, x: int, path: Path, frame: tuple | None) -> None:
        if frame:
            corner = (x + SIDE - 1, self.y + SIDE - 1)
            self.draw.rectangle(((x, self.y), corner), fill=frame)
        side = SIDE - 2 * FRAME
        try:
            picture = decode(path).resize((side, side))
        except PictureError as error:
            raise InputError(f"{path}: {error}") from error
        self.image.paste(picture, (x + FRAME, self.y + FRAME))

    def next_row(self) -> None:
        self.y += SIDE + GAP


def draw(embeddings: Path, data: Path, split: str, out: Path, queries: int, seed: int) -> None:
    """Draw ``queries`` sentences and as many pictures, chosen by ``seed``."""
    images, texts, ids = read_embeddings(embeddings)
    captions = read_captions(data / f"{split}_caps.txt")
    if len(captions) != len(texts):
        raise InputError(f"{data}: {split} has {len(captions)} captions, expected {len(texts)}")
    scores = images @ texts.T
    chosen = np.random.default_rng(seed).permutation(len(images))
    sentences, pictures = chosen[:queries] * CAPTIONS_PER_IMAGE, chosen[queries : 2 * queries]
    sheet = Sheet(2 * (GAP + 34) + (len(sentences) + len(pictures)) * (SIDE + GAP))
    sheet.heading("Sentence to picture (green: the sentence's own picture)")
    for caption in sentences:
        for i, line in enumerate(textwrap.wrap(captions[caption], 30)):
            sheet.text(GAP, sheet.y + 8 + 20 * i, line, INK)
        for place, image in enumerate(np.argsort(-scores[:, caption])[:TOP]):
            path = data / "images" / f"{ids[image]}.png"
            frame = RIGHT if image == caption // CAPTIONS_PER_IMAGE else WRONG
            sheet.picture(LEFT + place * (SIDE + GAP), path, frame)
        sheet.next_row()
    sheet.y += GAP
    sheet.heading("Picture to sentence (green: one of the picture's own)")
    for image in pictures:
        sheet.picture(GAP, data / "images" / f"{ids[image]}.png", None)
        for place, caption in enumerate(np.argsort(-scores[image])[:TOP]):
            colour = RIGHT if caption // CAPTIONS_PER_IMAGE == image else WRONG
            line = textwrap.shorten(f"{place + 1}. {captions[caption]}", 110)
            sheet.text(LEFT - 60, sheet.y + 8 + 27 * place, line, colour)
        sheet.next_row()
    with atomic_write(out) as temporary:
        about = PngInfo()
        about.add_text(DRAWN, f"{embeddings} {split}")
        sheet.image.save(temporary, pnginfo=about)


def require_replaceable(source: str, path: Path) -> None:
    """The rule for the drawing: an earlier one of the same embeddings and split."""
    try:
        with Image.open(path) as picture:
            found = picture.info.get(DRAWN)
    except Exception:  # Pillow's decoders fail on other files in many ways
        found = None
    if found != source:
        raise InputError(f"{path}: is there and is no drawing of {source}; choose another --out")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embeddings", type=path_arg, required=True, help="of eval.py")
    parser.add_argument("--data", type=path_arg, required=True, help="with images/<id>.png")
    parser.add_argument("--split", default="test")
    parser.add_argument("--out", type=path_arg, required=True)
    parser.add_argument("--queries", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.queries < 1 or args.seed < 0:
        parser.error("--queries must be at least 1, --seed at least 0")
    with exit_on_error():
        if args.out.suffix.lower() != ".png":
            raise InputError(f"{args.out}: expected a name that ends in .png")
        replaceable = partial(require_replaceable, f"{args.embeddings} {args.split}")
        check_outputs([(args.out, replaceable)], [args.embeddings])
        draw(args.embeddings, args.data, args.split, args.out, args.queries, args.seed)
        print(f"{args.out}: drawn")


if __name__ == "__main__":
    main()
