"""Finds things in pictures: <data>/detections.json, in COCO's results format.

python scripts/detect_objects.py --images IMAGES --data data/mine_precomp

scripts/extract_regions.py and scripts/convert_panoptic.py take it as --boxes. The detector is
torchvision's small one for COCO (MobileNetV3, 320 pixels), made for machines without a GPU. It may
be stopped and started again; what cannot be used is listed in failed.txt.
"""

import argparse
import json
import shutil
import sys
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lib  # noqa: F401  # isort: skip - from here on Ctrl-C leaves quietly

import numpy as np
import torch
from torch import Tensor

from lib.arguments import path_arg
from lib.data.pictures import PictureFolder
from lib.data.provenance import Provenance, read_provenance, write_provenance
from lib.errors import InputError, exit_on_error
from lib.extraction.arguments import device_of, job_of, parse, parser_of
from lib.extraction.file_output import FileOutput
from lib.extraction.regions import load_detector
from lib.extraction.runner import Job, extract_splits, ids_of_splits
from lib.files import atomic_write, file_sha256, text_sha256
from lib.outputs import check_outputs, exclusive, shared


class ImageBoxes(FileOutput):
    """Each image's boxes, until all are in one file: then the process that wrote it, of perhaps
    several, removes the folder."""

    def pending(self) -> list[int]:
        """Numbers of the images without boxes; none once the file of all is there."""
        return super().pending() if self.folder.is_dir() else []

    def finish(self) -> None:
        """Count the images that have a file."""
        with joining(self.folder):
            if self.folder.is_dir():
                super().finish()
            else:
                self.provenance.counts[self.split] = len(self.image_ids)

    @property
    def whole(self) -> bool:
        """Whether every image is there, and not yet in the file of all."""
        with joining(self.folder):
            return self.folder.is_dir() and super().whole

    def describe(self) -> str:
        """How many of the split's images have been looked at."""
        return f"{self.split}: {self.provenance.counts[self.split]:,} of {len(self.image_ids):,}"


def joining(folder: Path) -> AbstractContextManager[None]:
    """Held while the images' boxes are counted, or put in one file and removed."""
    return exclusive(folder.parent, f"{folder.name.strip('.')}.joining", wait=True)


def detect(args: argparse.Namespace) -> None:
    """Find things in every split's pictures, then write them as one file. Raises InputError:
    another launch is writing it, be it of other splits."""
    out = args.out or args.data / "detections.json"
    job = job_of(args, "detections")
    with shared(args.data, f"{out.stem}.detecting", job.share):
        _detect(args, out, job)


def _detect(args: argparse.Namespace, out: Path, job: Job) -> None:
    ids = ids_of_splits(args.data, args.splits)
    pictures = PictureFolder(args.images, args.mapping)
    device = device_of(args)
    manifest = out.with_suffix(".manifest.json")
    folder = args.data / f".{out.stem}.extracting"
    detector = load_detector(args.detector)
    detector.model.to(device)
    settings = {"score": args.score, "batch_size": args.batch_size}
    name = "detections: Faster R-CNN"
    provenance = Provenance(name, detector.weights, detector.sha256, settings)
    all_ids = {split: text_sha256(image_ids) for split, image_ids in ids.items()}
    inputs = [*(args.data / f"{split}_ids.txt" for split in ids), *filter(None, [args.mapping])]
    check_outputs([(out, lambda _: None)], inputs)
    # A detection that was killed before its file was whole goes on.
    if out.exists() and not args.overwrite and not folder.is_dir():
        require_same(out, read_provenance(manifest), provenance, all_ids)
        print(f"{out}: is complete")
        return

    def load(image_id: str) -> tuple[Tensor, ...]:
        picture = np.array(pictures.read(image_id))
        return (torch.from_numpy(picture).permute(2, 0, 1),)

    def boxes(batch: Tensor) -> list[dict]:
        with torch.inference_mode():
            found = detector.model(list(batch.to(device) / 255))
        return [{"boxes": table(one, args.score)} for one in found]

    if args.overwrite and not job.share.alone:
        raise InputError(f"--overwrite is for one process; remove {out}, which several shall make")
    stale = [folder] if args.overwrite and folder.is_dir() else []

    def output(split: str, image_ids: list[str]) -> ImageBoxes:
        if stale:  # now that nobody else is at work on it
            shutil.rmtree(stale.pop())
        return ImageBoxes(folder, split, image_ids, provenance, job.share)

    if not extract_splits(job, ids, output, load, boxes):  # whoever finishes last writes the file
        return
    with joining(folder):
        if not folder.is_dir():  # another process has just written it
            return
        entries = joined(folder, ids)
        counts = {split: len(image_ids) for split, image_ids in ids.items()}
        with atomic_write(out) as temporary:
            temporary.write_text(json.dumps(entries), encoding="utf-8")
        about = replace(provenance, counts=counts, ids=all_ids, content_sha256=file_sha256(out))
        write_provenance(manifest, about)
        shutil.rmtree(folder)
    print(f"{out}: {len(entries):,} boxes of {sum(counts.values()):,} images")


def table(found: dict[str, Tensor], least: float) -> np.ndarray:
    """A detector's result -> (n, 6) float32: left, top, right, bottom, score, category of each box
    that has a size and a score of ``least`` or more."""
    columns = (found["boxes"], found["scores"][:, None], found["labels"][:, None])
    rows = torch.cat([column.float().cpu() for column in columns], dim=1).numpy()
    sized = (rows[:, 2:4] > rows[:, :2]).all(axis=1)
    return rows[sized & (rows[:, 4] >= least)]


def joined(folder: Path, ids: dict[str, list[str]]) -> list[dict]:
    """All images' boxes as COCO's results."""
    entries = []
    for image_id in (image_id for image_ids in ids.values() for image_id in image_ids):
        rows = np.load(folder / f"{image_id}.npy", allow_pickle=False).tolist()
        for left, top, right, bottom, score, category in rows:
            box = [round(v, 1) for v in (left, top, right - left, bottom - top)]
            if box[2] > 0 and box[3] > 0:
                entry = {"image_id": image_id, "category_id": int(category), "bbox": box}
                entries.append(entry | {"score": round(score, 3)})
    return entries


def require_same(
    out: Path, found: Provenance | None, wanted: Provenance, ids: dict[str, str]
) -> None:
    """Refuse a file that other settings or pictures made, or somebody else."""
    if found is None:
        raise InputError(f"{out}: exists without a manifest; --overwrite replaces it")
    differing = found.differences(wanted)
    if found.ids != ids:
        differing.append("the lists of images have changed")
    if found.content_sha256 != file_sha256(out):
        differing.append("it has been changed since")
    if differing:
        raise InputError(
            f"{out}: was made with other settings: {'; '.join(differing)}; --overwrite replaces it"
        )


def main(words: list[str] | None = None) -> None:
    """Detect what the command line, or ``words`` instead of it, asks for."""
    parser = parser_of(__doc__, batch_size=4, dtype=False)
    parser.add_argument(
        "--detector",
        default="coco_small",
        help="coco_small, coco (better and slower), a file of weights, or random",
    )
    parser.add_argument(
        "--score", type=float, default=0.1, help="least score of a box that is kept"
    )
    parser.add_argument("--out", type=path_arg, help="default: detections.json in --data")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is finished")
    args = parse(parser, words, ())
    if args.out and args.out.suffix != ".json":
        parser.error(f"--out is {args.out}, expected a name that ends in .json")
    with exit_on_error():
        detect(args)


if __name__ == "__main__":
    main()
