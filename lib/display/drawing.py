"""Drawings as files: PNG, JPEG or PDF, which say what they are drawings of."""

import time
from pathlib import Path

from PIL import Image
from PIL.PdfParser import PdfParser
from PIL.PngImagePlugin import PngInfo

from lib.errors import InputError
from lib.files import atomic_write

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".pdf": "PDF"}
DPI = 100  # pixels of an inch of a PDF's page


def require_format(path: Path) -> None:
    """Raises InputError: the name's end is of no format that can be written."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: expected a name that ends in {', '.join(FORMATS)}")


def save(image: Image.Image, path: Path, comment: str) -> None:
    """Write a PNG, a small JPEG or a PDF of one page, by the name's end. Equal drawings are equal
    files. Raises InputError: it cannot be written."""
    kind = FORMATS[path.suffix.lower()]
    with atomic_write(path) as temporary:
        if kind == "PNG":
            about = PngInfo()
            about.add_text("comment", comment)
            image.save(temporary, kind, pnginfo=about)
        elif kind == "PDF":
            day = time.gmtime(0)
            image.save(temporary, kind, title=comment, resolution=DPI, quality=90,
                       creationDate=day, modDate=day)  # fmt: skip
        else:
            small = {"quality": 75, "optimize": True, "progressive": True}
            image.save(temporary, kind, comment=comment, **small)


def comment_in(path: Path) -> str | None:
    """What a drawing says of itself; None: the file is none, or says nothing."""
    try:
        if path.suffix.lower() == ".pdf":
            with PdfParser(str(path)) as content:
                title = content.info.Title
                return title if isinstance(title, str) else None
        with Image.open(path) as picture:
            found = picture.info.get("comment")
    except Exception:  # Pillow's readers fail on other files in many ways
        return None
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else found


def require_replaceable(comment: str, path: Path) -> None:
    """The rule for a drawing: an earlier one that says the same of itself. Raises InputError."""
    if comment_in(path) != comment:
        source = comment.partition(" ")[2]
        raise InputError(f"{path}: is there and is no drawing of {source}; choose another --out")
