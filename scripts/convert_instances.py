"""Makes a panoptic result and a table of captions from COCO's annotations.

python scripts/convert_instances.py --annotations instances.json captions.json --out FOLDER
python scripts/convert_instances.py --annotations captions.json --boxes detections.json --out FOLDER

Writes FOLDER/panoptic.json and FOLDER/panoptic/*.png, which scripts/convert_panoptic.py takes;
FOLDER/captions.txt, which scripts/prepare_captions.py --table takes; and FOLDER/boxes.json, of the
instances, which scripts/extract_regions.py takes. Where masks overlap, the
smaller one is in front; what no mask covers is void. Instances without a mask, and those of --boxes
(COCO's results: image_id, bbox, score, category_id), are painted as boxes behind the masks, the
highest score in front.
"""

import json
import math
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import lib  # noqa: F401  # isort: skip - from here on Ctrl-C leaves quietly

from PIL import Image
from tqdm import tqdm

from lib.annotations.coco_instances import Annotated, box_of, panoptic_of, read_annotations
from lib.arguments import new_parser, path_arg
from lib.data.captions import require_usable_ids
from lib.data.pictures import PictureError
from lib.errors import InputError, exit_on_error, first_line
from lib.extraction.detections import SCORE, Detections, read_detections
from lib.files import atomic_write, read_json
from lib.outputs import check_outputs, exclusive


def require_names(pictures: list[Annotated]) -> None:
    """Refuse pictures of one name, which would be one PNG, or of a name that no file can have."""
    stems = Counter(Path(picture.file_name).stem for picture in pictures)
    if twice := [stem for stem, count in stems.items() if count > 1]:
        raise InputError(f"{stems[twice[0]]} pictures are called {twice[0]}; rename them")
    require_usable_ids("the annotations", list(stems))


def add_boxes(pictures: list[Annotated], found: Detections, least: float) -> None:
    """Add a detector's boxes of score ``least`` or more to the pictures' instances."""
    for note in found.notes(str(picture.image_id) for picture in pictures):
        print(f"note: {note}", file=sys.stderr)
    for picture in pictures:
        image = str(picture.image_id)
        try:
            boxes, numbers = found.placed(image, picture.width, picture.height)
        except PictureError as error:
            raise InputError(f"image {image}: {error}") from error
        for number, (left, top, right, bottom) in zip(numbers, boxes.tolist(), strict=True):
            if (score := float(found.scores[image][number])) >= least:
                category = int(found.categories[image][number])
                box = [left, top, right - left, bottom - top]
                known = {"category_id": category, "bbox": box, "score": score}
                picture.instances.append(known)


MADE_BY = "convert_instances.py"
UNFINISHED = "conversion.unfinished"  # in the folder of a conversion that was stopped


def write_panoptic(pictures: list[Annotated], out: Path) -> int:
    """Write the PNGs, then the JSON that names them; return the number of segments."""
    annotations = []
    for picture in tqdm(pictures, "panoptic", unit="img", disable=None):
        name = f"{Path(picture.file_name).stem}.png"
        try:
            colours, segments = panoptic_of(picture)
        except (
            ValueError, KeyError, TypeError, AttributeError, MemoryError, OverflowError,
        ) as error:  # fmt: skip
            raise InputError(f"image {picture.image_id}: {first_line(error)}") from error
        with atomic_write(out / "panoptic" / name) as temporary:
            Image.fromarray(colours).save(temporary)
        known = {"image_id": picture.image_id, "file_name": name}
        annotations.append({**known, "segments_info": segments})
    with atomic_write(out / "panoptic.json") as temporary:
        temporary.write_text(
            json.dumps({"made_by": MADE_BY, "annotations": annotations}), encoding="utf-8"
        )
    return sum(len(annotation["segments_info"]) for annotation in annotations)


def boxes_of(pictures: list[Annotated]) -> list[dict[str, Any]]:
    """The instances' boxes as COCO's results; of a mask without one, those that hold the mask. An
    image is known by its file's name. Annotated boxes have score 1. Raises InputError: an instance
    that has neither."""
    entries = []
    for picture in pictures:
        for instance in picture.instances:
            try:
                box = box_of(instance, picture.width, picture.height)
                category, score = int(instance["category_id"]), float(instance.get("score", 1))
                if not math.isfinite(score):
                    raise ValueError(f"a score is {score}")
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
                raise InputError(f"image {picture.image_id}: {first_line(error)}") from error
            if box is not None:
                entry = {"image_id": Path(picture.file_name).stem, "category_id": category}
                entries.append(entry | {"bbox": box, "score": score})
    return entries


def begin(out: Path) -> None:
    """Mark a folder as this command's; refuses one that holds something else."""
    present = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    ours = UNFINISHED in present
    with suppress(InputError):
        found = read_json(out / "panoptic.json", "result") if "panoptic.json" in present else None
        ours |= isinstance(found, dict) and found.get("made_by") == MADE_BY
    if present and not ours:
        raise InputError(f"{out}: holds other files and no conversion; choose another --out")
    (out / UNFINISHED).touch()


def main(words: list[str] | None = None) -> None:
    """Convert what the command line, or ``words`` instead of it, asks for."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "--annotations",
        type=path_arg,
        nargs="+",
        required=True,
        help="COCO's JSON files of captions or instances",
    )
    parser.add_argument(
        "--boxes", type=path_arg, help="a detector's results in COCO's format, .json or .json.gz"
    )
    parser.add_argument(
        "--score", type=float, default=SCORE, help="least score of a box that is painted"
    )
    parser.add_argument(
        "--out", type=path_arg, required=True, help="folder to write into; made if missing"
    )
    args = parser.parse_args(words)
    with exit_on_error():
        pictures = read_annotations(args.annotations)
        if args.boxes:
            add_boxes(pictures, read_detections(args.boxes), args.score)
        require_names(pictures)
        boxes = boxes_of(pictures)
        outputs = [args.out / name for name in ("panoptic.json", "captions.txt", "boxes.json")]
        inputs = [*args.annotations, *filter(None, [args.boxes])]
        check_outputs([(path, lambda _: None) for path in outputs], inputs)
        with exclusive(args.out):
            begin(args.out)
            segments = write_panoptic(pictures, args.out)
            table = [
                f"{picture.file_name}\t{' '.join(caption.split())}\n"
                for picture in pictures
                for caption in picture.captions
            ]
            if table:
                with atomic_write(args.out / "captions.txt") as temporary:
                    temporary.write_text("".join(table), encoding="utf-8")
            with atomic_write(args.out / "boxes.json") as temporary:
                temporary.write_text(json.dumps(boxes), encoding="utf-8")
            (args.out / UNFINISHED).unlink()
    print(
        f"{args.out}: {len(pictures):,} images, {segments:,} segments in panoptic/, "
        f"{len(table):,} captions in captions.txt"
    )


if __name__ == "__main__":
    main()
