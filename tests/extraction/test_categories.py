"""COCO's categories and UPSNet's numbers of them."""

import json

import numpy as np

from lib.data.segmentation import VOID
from lib.extraction import categories
from lib.extraction.categories import COCO_IDS, NAMES, NUMBER_OF_COCO_ID, upsnet_labels
from tests.support import GOLDEN

COCO = json.loads((GOLDEN / "panoptic_coco_categories.json").read_text())


def test_every_category_has_upsnets_number():
    things = [c for c in COCO if c["isthing"]]
    stuff = [c for c in COCO if not c["isthing"]]
    assert [*things, *stuff] == COCO  # things first, as every model of the hub has them
    assert tuple(c["id"] for c in COCO) == COCO_IDS
    for position, category in enumerate(COCO):
        number = NUMBER_OF_COCO_ID[category["id"]]
        assert NAMES[number] == category["name"]
        expected = 53 + things.index(category) if category["isthing"] else stuff.index(category)
        assert number == categories.upsnet_number(position) == expected
    assert sorted(NUMBER_OF_COCO_ID.values()) == list(range(133))


def test_positions_of_a_models_output_become_numbers():
    labels = upsnet_labels(np.array([[0, 79, 80], [132, -1, 255]]))
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[53, 132, 0], [52, VOID, VOID]]
