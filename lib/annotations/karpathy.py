"""Karpathy's splits, ``dataset_coco.json`` and ``dataset_flickr30k.json``, to caption files."""

from pathlib import Path

from lib.annotations.caption_table import id_of
from lib.data.captions import CAPTIONS_PER_IMAGE, require_usable_ids
from lib.errors import InputError, first_line
from lib.files import read_json

SPLITS = {"train": "train", "restval": "train", "val": "dev", "test": "test"}
COCO_FOLDS = 5  # COCO's 5,000 test images are testall; the first fifth of them is test


def read_splits(path: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Image ids and captions of each split, in the file's order.

    Args:
        path: the JSON; COCO's images have a ``cocoid``, by which they are known, Flickr30K's go by
            their file's name.

    Returns:
        Split -> n ids and 5n captions, the first five of each image, on one line each. COCO's
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
            )
            for image in images
        ]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(
            f"{path}: is not one of Karpathy's files, which hold images[] of filename, split and "
            f"sentences[].raw ({type(error).__name__}: {first_line(error)})"
        ) from error
    splits: dict[str, tuple[list[str], list[str]]] = {}
    seen: set[str] = set()
    for image_id, named, captions in found:
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
        ids, lines = splits.setdefault(split, ([], []))
        ids.append(image_id)
        lines += captions[:CAPTIONS_PER_IMAGE]
    if is_coco and "testall" in splits:
        ids, lines = splits["testall"]
        if fold := len(ids) // COCO_FOLDS:
            splits["test"] = (ids[:fold], lines[: fold * CAPTIONS_PER_IMAGE])
    for ids, _ in splits.values():
        require_usable_ids(path, ids)
    return splits
