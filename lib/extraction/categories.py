"""COCO's 133 panoptic categories and the numbers that models know them by.

Two orders are met. COCO's own list, and every model on the Hugging Face hub, has the 80 things
first, then the 53 stuff categories. UPSNet, and with it the released weights, has the stuff
first: 0..52 stuff, 53..132 things, 255 void. Ids in COCO's files are a third thing: 1..200 with
holes. The list is panopticapi's.
"""

import numpy as np

VOID = 255
CATEGORIES = 133
THINGS_COUNT = 80
THINGS = """
1 person, 2 bicycle, 3 car, 4 motorcycle, 5 airplane, 6 bus, 7 train, 8 truck, 9 boat,
10 traffic light, 11 fire hydrant, 13 stop sign, 14 parking meter, 15 bench, 16 bird,
17 cat, 18 dog, 19 horse, 20 sheep, 21 cow, 22 elephant, 23 bear, 24 zebra, 25 giraffe,
27 backpack, 28 umbrella, 31 handbag, 32 tie, 33 suitcase, 34 frisbee, 35 skis,
36 snowboard, 37 sports ball, 38 kite, 39 baseball bat, 40 baseball glove, 41 skateboard,
42 surfboard, 43 tennis racket, 44 bottle, 46 wine glass, 47 cup, 48 fork, 49 knife,
50 spoon, 51 bowl, 52 banana, 53 apple, 54 sandwich, 55 orange, 56 broccoli, 57 carrot,
58 hot dog, 59 pizza, 60 donut, 61 cake, 62 chair, 63 couch, 64 potted plant, 65 bed,
67 dining table, 70 toilet, 72 tv, 73 laptop, 74 mouse, 75 remote, 76 keyboard,
77 cell phone, 78 microwave, 79 oven, 80 toaster, 81 sink, 82 refrigerator, 84 book,
85 clock, 86 vase, 87 scissors, 88 teddy bear, 89 hair drier, 90 toothbrush
"""
STUFF = """
92 banner, 93 blanket, 95 bridge, 100 cardboard, 107 counter, 109 curtain, 112 door-stuff,
118 floor-wood, 119 flower, 122 fruit, 125 gravel, 128 house, 130 light, 133 mirror-stuff,
138 net, 141 pillow, 144 platform, 145 playingfield, 147 railroad, 148 river, 149 road,
151 roof, 154 sand, 155 sea, 156 shelf, 159 snow, 161 stairs, 166 tent, 168 towel,
171 wall-brick, 175 wall-stone, 176 wall-tile, 177 wall-wood, 178 water-other,
180 window-blind, 181 window-other, 184 tree-merged, 185 fence-merged, 186 ceiling-merged,
187 sky-other-merged, 188 cabinet-merged, 189 table-merged, 190 floor-other-merged,
191 pavement-merged, 192 mountain-merged, 193 grass-merged, 194 dirt-merged,
195 paper-merged, 196 food-other-merged, 197 building-other-merged, 198 rock-merged,
199 wall-other-merged, 200 rug-merged
"""


def _parse(text: str) -> list[tuple[int, str]]:
    entries = (entry.strip().split(" ", 1) for entry in text.replace("\n", " ").split(", "))
    return [(int(number), name) for number, name in entries]


_things, _stuff = _parse(THINGS), _parse(STUFF)
COCO_IDS = tuple(number for number, _ in (*_things, *_stuff))  # by position in COCO's list
NAMES = tuple(name for _, name in (*_stuff, *_things))  # by UPSNet number


def upsnet_number(position: int) -> int:
    """A position in COCO's list (things 0..79, stuff 80..132) -> UPSNet's number."""
    return position - len(_things) if position >= len(_things) else position + len(_stuff)


NUMBER_OF_COCO_ID = {coco_id: upsnet_number(position) for position, coco_id in enumerate(COCO_IDS)}


def upsnet_labels(positions: np.ndarray) -> np.ndarray:
    """(H, W) integer positions in COCO's list, anything else void -> (H, W) uint8 numbers."""
    table = np.full(CATEGORIES + 1, VOID, np.uint8)
    table[:CATEGORIES] = [upsnet_number(position) for position in range(CATEGORIES)]
    known = (positions >= 0) & (positions < CATEGORIES)
    return table[np.where(known, positions, CATEGORIES)]
