"""COCO's 133 panoptic categories and the numbers that models know them by.

Two orders are met. COCO's own list (``categories.csv``, panopticapi's), and every model on the
Hugging Face hub, has the 80 things first, then the 53 stuff categories. UPSNet, and with it the
released weights, has the stuff first: 0..52 stuff, 53..132 things, 255 void. Ids in COCO's files
are a third thing: 1..200 with holes."""

import csv
from pathlib import Path

import numpy as np

from lib.data.segmentation import CATEGORIES, VOID

with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as _file:
    _ROWS = list(csv.DictReader(_file))
THINGS_COUNT = sum(row["kind"] == "thing" for row in _ROWS)
COCO_IDS = tuple(int(row["coco_id"]) for row in _ROWS)  # by position in COCO's list
COCO_NAMES = tuple(row["name"] for row in _ROWS)  # likewise


def upsnet_number(position: int) -> int:
    """A position in COCO's list (things 0..79, stuff 80..132) -> UPSNet's number."""
    stuff = CATEGORIES - THINGS_COUNT
    return position - THINGS_COUNT if position >= THINGS_COUNT else position + stuff


NUMBER_OF_COCO_ID = {coco_id: upsnet_number(position) for position, coco_id in enumerate(COCO_IDS)}
NAMES = tuple(  # by UPSNet number
    row["name"]
    for _, row in sorted(
        ((upsnet_number(i), row) for i, row in enumerate(_ROWS)), key=lambda pair: pair[0]
    )
)


def upsnet_labels(positions: np.ndarray) -> np.ndarray:
    """(H, W) integer positions in COCO's list, anything else void -> (H, W) uint8 numbers."""
    table = np.full(CATEGORIES + 1, VOID, np.uint8)
    table[:CATEGORIES] = [upsnet_number(position) for position in range(CATEGORIES)]
    known = (positions >= 0) & (positions < CATEGORIES)
    return table[np.where(known, positions, CATEGORIES)]
