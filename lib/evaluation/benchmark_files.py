"""The files of benchmarks that no package has: caption ids, CxC's ratings, plausible matches."""

import csv
from pathlib import Path

from lib.errors import InputError, first_line
from lib.files import read_json, require_regular

PM_FILES = ("pm_image_to_caption.json", "pm_caption_to_image.json")
CXC_FILES = ("sis_test.csv", "sts_test.csv")  # pictures, captions
Answers = dict[int, list[int]]  # by COCO's ids


def read_caption_ids(path: Path) -> list[int]:
    """COCO's ids of a split's captions, one on each line, in their order. Raises InputError."""
    require_regular(path, "caption ids")
    try:
        return [int(word) for word in path.read_text(encoding="utf-8-sig").split()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is not a list of caption ids ({first_line(error)})") from error


def read_plausible(files: Path | None) -> dict[str, Answers]:
    """PMRP's correspondences, ``i2t`` and ``t2i``. Raises InputError: no folder, or its files are
    missing or damaged."""
    if files is None:
        raise InputError(
            f"--benchmarks pmrp needs --benchmark_files FOLDER, with {' and '.join(PM_FILES)}, "
            "which the authors of ECCV Caption publish"
        )
    both = {}
    for direction, name in zip(("i2t", "t2i"), PM_FILES, strict=True):
        content = read_json(files / name, "JSON object of plausible matches")
        try:
            both[direction] = {int(k): [int(v) for v in values] for k, values in content.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(
                f"{files / name}: is not a JSON object of ids and lists of ids "
                f"({first_line(error)})"
            ) from error
    return both


def read_ratings(path: Path) -> list[tuple[int, int, float]]:
    """The pairs of one of CxC's files and their ratings, by COCO's numbers. Raises
    InputError: the file is missing or damaged."""
    require_regular(path, "CxC's ratings")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            first, *rows = list(csv.reader(file))
        place = first.index("agg_score")
        return [(_number(row[0]), _number(row[1]), float(row[place])) for row in rows]
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise InputError(f"{path}: is not a file of CxC's ratings ({first_line(error)})") from error


def _number(word: str) -> int:
    """As in COCO_val2014_000000205866.jpg and COCO_val2014:sentid:411553."""
    return int(word.removesuffix(".jpg").replace("_", ":").rpartition(":")[2])
