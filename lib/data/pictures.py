"""Finds pictures by image id and decodes them, whatever they are, to 8-bit RGB."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lib.errors import InputError, first_line
from lib.files import read_json

SUFFIXES = (".jpg", ".jpeg", ".png")
# Names that datasets give the picture of an id: Flickr30K's and the scenes', COCO's of 2017, 2014.
PATTERNS = ("{id}", "{number:012d}", "COCO_train2014_{number:012d}", "COCO_val2014_{number:012d}")
# VSE-infinity's file that says which picture an id is, below the folder or one of these in it.
ID_MAPPING, BELOW = "id_mapping.json", ("", "images", "flickr30k-images")
ORIENTATION = 0x0112  # EXIF's tag; from 5 on, width and height change places
MOST_PIXELS = 100_000_000  # a larger picture would take a worker gigabytes


class PictureError(Exception):
    """Why a picture cannot be used, in words for ``failed.txt``."""


class PictureFolder:
    """The pictures of a folder and its subfolders, by image id."""

    def __init__(self, folder: Path, mapping: Path | None = None, or_names: bool = False):
        """List the folder once; ``mapping`` is a JSON object, image id -> file name in it, and
        without one names go by PATTERNS. ``or_names``: so do ids that the mapping lacks, and its
        names may be below ``images/`` or ``flickr30k-images/``. Raises InputError: no such folder,
        or another mapping."""
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of pictures")
        self.folder = folder
        self.mapping: dict[str, str] | None = None
        if mapping is not None:
            self.mapping = read_mapping(mapping)
        self.or_names, self.beside = or_names, folder if mapping is None else mapping.parent
        self.by_stem: dict[str, list[Path]] = {}
        if self.mapping is None or or_names:
            for path in sorted(folder.rglob("*")):
                if path.suffix.lower() in SUFFIXES:
                    self.by_stem.setdefault(path.stem, []).append(path)

    def find(self, image_id: str) -> Path:
        """The picture of an id. Raises PictureError: there is none, or more than one."""
        lacking = ""
        if self.mapping is not None:
            if image_id in self.mapping:
                return self._mapped(self.mapping[image_id])
            lacking = "the mapping does not name it"
            if not self.or_names:
                raise PictureError(lacking)
            lacking += ", and there is "
        names = [
            pattern.format(id=image_id, number=int(image_id) if image_id.isdecimal() else 0)
            for pattern in (PATTERNS if image_id.isdecimal() else PATTERNS[:1])
        ]
        found = [path for name in dict.fromkeys(names) for path in self.by_stem.get(name, ())]
        if not found:
            problem = f"no picture named {', '.join(names)} with {', '.join(SUFFIXES)}"
            if self.or_names and self.mapping is None:  # Flickr30K's ids are numbers of no file
                problem += f"; where ids are no names, {ID_MAPPING} beside the pictures tells them"
            raise PictureError(lacking + problem)
        if len(found) > 1:
            raise PictureError(f"several pictures: {', '.join(map(str, found[:3]))}")
        return found[0]

    def _mapped(self, name: str) -> Path:
        if not self.or_names:
            return self.folder / name
        candidates = [self.folder / name, *(self.beside / place / name for place in BELOW)]
        found = next((path for path in candidates if path.is_file()), None)
        if found is None:
            raise PictureError(f"{ID_MAPPING} names {name}, and there is no {candidates[-1]}")
        return found

    def read(self, image_id: str) -> Image.Image:
        """The picture of an id as :func:`decode` gives it; raises :class:`PictureError`."""
        return decode(self.find(image_id))


def read_mapping(path: Path) -> dict[str, str]:
    """Image id -> file name, of a JSON object. Raises InputError: it is something else."""
    names = read_json(path, "JSON object of ids and file names")
    if not isinstance(names, dict):
        raise InputError(f"{path}: is not a JSON object of ids and file names")
    if odd := next((k for k, v in names.items() if not isinstance(v, str)), None):
        raise InputError(f"{path}: the entry of {odd} is no file name")
    return names


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture, turned as its EXIF says, from its header. Raises
    PictureError: as :func:`decode`."""
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            turned = picture.getexif().get(ORIENTATION, 1) >= 5
    except FileNotFoundError:
        raise PictureError("no such file") from None
    except Exception as error:  # as below
        raise PictureError(f"cannot be decoded ({first_line(error)})") from error
    return (height, width) if turned else (width, height)


def decode(path: Path) -> Image.Image:
    """A picture as 8-bit RGB, turned as its EXIF says; grey becomes three equal channels,
    transparency white, 16 bits their upper eight. Raises PictureError: missing, broken, not a
    picture, or larger than MOST_PIXELS."""
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            if width * height > MOST_PIXELS:
                raise PictureError(
                    f"{width} x {height} pixels are more than {MOST_PIXELS:,}; reduce it first"
                )
            picture.load()
            return _rgb(ImageOps.exif_transpose(picture))
    except PictureError:
        raise
    except FileNotFoundError:
        raise PictureError("no such file") from None
    except UnidentifiedImageError:
        raise PictureError("is not a picture that Pillow knows") from None
    except Image.DecompressionBombError as error:
        raise PictureError(f"is too large to open safely ({first_line(error)})") from error
    except Exception as error:  # Pillow's decoders fail on damaged files in many ways
        raise PictureError(f"cannot be decoded ({first_line(error)})") from error


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "F":
        raise PictureError("holds floating-point values, whose range nobody knows")
    if picture.mode.startswith("I"):  # Pillow would cut 16 bits off at 255
        values = np.asarray(picture).astype(np.int64).clip(0, 65535) >> 8
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        layered = picture.convert("RGBA")
        white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layered).convert("RGB")
    return picture.convert("RGB")
