"""Makes a panoptic result and a table of captions from COCO's annotations.

python scripts/convert_instances.py --annotations instances.json captions.json --out FOLDER

Writes FOLDER/panoptic.json and FOLDER/panoptic/*.png, which scripts/convert_panoptic.py takes, and
FOLDER/captions.txt, which scripts/prepare_captions.py --table takes. Where masks overlap, the
smaller one is in front; what no mask covers is void.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from PIL import Image
from tqdm import tqdm

from lib.errors import InputError, exit_on_error, first_line
from lib.files import atomic_write
from scripts.coco_instances import Annotated, panoptic_of, read_annotations


def write_panoptic(pictures: list[Annotated], out: Path) -> int:
    """Write the PNGs, then the JSON that names them; return the number of segments."""
    stems = Counter(Path(picture.file_name).stem for picture in pictures)
    twice = [stem for stem, count in stems.items() if count > 1]
    if twice:
        raise InputError(f"{stems[twice[0]]} pictures are called {twice[0]}; rename them")
    annotations = []
    for picture in tqdm(pictures, "panoptic", unit="img", disable=None):
        name = f"{Path(picture.file_name).stem}.png"
        try:
            colours, segments = panoptic_of(picture)
        except (ValueError, KeyError, TypeError, AttributeError, MemoryError) as error:
            raise InputError(f"image {picture.image_id}: {first_line(error)}") from error
        with atomic_write(out / "panoptic" / name) as temporary:
            Image.fromarray(colours).save(temporary)
        known = {"image_id": picture.image_id, "file_name": name}
        annotations.append({**known, "segments_info": segments})
    with atomic_write(out / "panoptic.json") as temporary:
        temporary.write_text(json.dumps({"annotations": annotations}), encoding="utf-8")
    return sum(len(annotation["segments_info"]) for annotation in annotations)


def main(words: list[str] | None = None) -> None:
    """Convert what the command line, or ``words`` instead of it, asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--annotations", type=Path, nargs="+", required=True, help="COCO's JSON")
    parser.add_argument("--out", type=Path, required=True, help="folder; made")
    args = parser.parse_args(words)
    with exit_on_error():
        pictures = read_annotations(args.annotations)
        marker, captions = args.out / "panoptic.json", args.out / "captions.txt"
        if captions.exists() and not marker.exists():
            raise InputError(f"{captions}: is there, and no conversion's; choose another --out")
        segments = write_panoptic(pictures, args.out)
        table = [
            f"{picture.file_name}\t{' '.join(caption.split())}\n"
            for picture in pictures
            for caption in picture.captions
        ]
        if table:
            with atomic_write(args.out / "captions.txt") as temporary:
                temporary.write_text("".join(table), encoding="utf-8")
    print(
        f"{args.out}: {len(pictures):,} images, {segments:,} segments in panoptic/, "
        f"{len(table):,} captions in captions.txt"
    )


if __name__ == "__main__":
    main()
