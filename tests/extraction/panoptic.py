"""Panoptic results of the scenes, and the command that converts them."""

import json

import numpy as np
import pytest
from PIL import Image

from lib.data.segmentation import VOID
from lib.extraction.categories import NUMBER_OF_COCO_ID
from scripts import convert_panoptic


def write_panoptic(folder, label_maps):
    """COCO's panoptic format, a segment per category, with ids that need all three channels."""
    coco_id = {number: coco for coco, number in NUMBER_OF_COCO_ID.items()}
    (folder / "png").mkdir(parents=True)
    annotations = []
    for image_id, labels in label_maps.items():
        colours = np.zeros((*labels.shape, 3), np.uint8)
        segments = []
        for number in np.unique(labels[labels != VOID]).tolist():
            identity = 70_001 * (len(segments) + 1)
            channels = (identity % 256, identity // 256 % 256, identity // 65536)
            colours[labels == number] = channels
            segments.append({"id": identity, "category_id": coco_id[number], "area": 1})
        Image.fromarray(colours).save(folder / "png" / f"{image_id}.png")
        name = {"image_id": int(image_id), "file_name": f"{image_id}.png"}
        annotations.append({**name, "segments_info": segments})
    (folder / "panoptic.json").write_text(json.dumps({"annotations": annotations}))


def words(folder, *flags):
    return [
        "--json", str(folder / "result" / "panoptic.json"), "--png", str(folder / "result" / "png"),
        "--data", str(folder / "data"), "--workers", "0", *flags,
    ]  # fmt: skip


def refusal(folder, *flags):
    with pytest.raises(SystemExit) as left:
        convert_panoptic.main(words(folder, *flags))
    return left.value.code


def files(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "data").iterdir())}
