"""Karpathy's splits, ``dataset_coco.json`` and ``dataset_flickr30k.json``, to caption files."""

from pathlib import Path
from typing import NamedTuple

from lib.annotations.caption_table import id_of
from lib.data.captions import CAPTIONS_PER_IMAGE, require_usable_ids
from lib.errors import InputError, first_line
from lib.files import read_json

SPLITS = {"train": "train", "restval": "train", "val": "dev", "test": "test"}
COCO_FOLDS = 5  # COCO's 5,000 test images are testall; the first fifth of them is test


class KarpathySplit(NamedTuple):
    """One split, in the file's order."""

    ids: list[str]  # n
    captions: list[str]  # 5n, on one line each
    caption_ids: list[int]  # 5n, COCO's; none where the file does not tell them


def read_splits(path: Path) -> dict[str, KarpathySplit]:
    """Image ids, captions and captions' ids of each split, in the file's order.

    Args:
        path: the JSON; COCO's images have a ``cocoid``, by which they are known, Flickr30K's go by
            their file's name.

    Returns:
        Split -> its own, with the first five captions of each image. COCO's
        restval belongs to train; its test is ``testall``, and the first fifth of it ``test``.

    Raises InputError: the file cannot be read, is no such JSON, names another split, or has an
    image with fewer than five captions.
    """
    content = read_json(path, "JSON file of Karpathy's splits")
    try:
        images = content["images"]
        is_coco = "cocoid" in images[0]
        found = [
            (
                str(image["cocoid"]) if is_coco else id_of(Path(image["filename"]).name),
                str(image["split"]),
                [" ".join(sentence["raw"].split()) for sentence in image["sentences"]],
                [int(one["sentid"]) for one in image["sentences"] if is_coco and "sentid" in one],
            )
            for image in images
        ]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(
            f"{path}: is not one of Karpathy's files, which hold images[] of filename, split and "
            f"sentences[].raw ({type(error).__name__}: {first_line(error)})"
        ) from error
    splits: dict[str, KarpathySplit] = {}
    seen: set[str] = set()
    for image_id, named, captions, caption_ids in found:
        if named not in SPLITS:
            raise InputError(
                f"{path}: image {image_id} is of split {named!r}, expected one of "
                f"{', '.join(SPLITS)}"
            )
        if len(captions) < CAPTIONS_PER_IMAGE or not all(captions[:CAPTIONS_PER_IMAGE]):
            raise InputError(
                f"{path}: image {image_id} has {len(list(filter(None, captions)))} captions, "
                f"expected {CAPTIONS_PER_IMAGE} at least"
            )
        if image_id in seen:
            raise InputError(f"{path}: image {image_id} is there twice")
        seen.add(image_id)
        split = "testall" if is_coco and named == "test" else SPLITS[named]
        found_split = splits.setdefault(split, KarpathySplit([], [], []))
        found_split.ids.append(image_id)
        found_split.captions.extend(captions[:CAPTIONS_PER_IMAGE])
        found_split.caption_ids.extend(caption_ids[:CAPTIONS_PER_IMAGE])
    if is_coco and "testall" in splits:
        ids, lines, numbers = splits["testall"]
        if fold := len(ids) // COCO_FOLDS:
            end = fold * CAPTIONS_PER_IMAGE
            splits["test"] = KarpathySplit(ids[:fold], lines[:end], numbers[:end])
    for one in splits.values():
        require_usable_ids(path, one.ids)
    return splits
