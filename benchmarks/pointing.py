"""Whether highlight maps point at what a sentence names, against chance.

python benchmarks/pointing.py RUN --data data/scenes_precomp [--images FOLDER] [--captions 1000]

A sentence mentions a category of the label map by its COCO name or a word for it. A region is on a
mentioned thing if at least a third of its box has that label. For every map the figures are the
share of its mass on such regions, and how often the region with the most is one of them; chance is
the share of such regions among all. Of what is added to a score, the positive part is mass. Of
VSpM's attention the mass is on places with the label, and chance is their share of the map; it is
of all regions, and of those on the thing. Where a family scores pairs, the mass is that of the
mentioning word. Sentences count where some regions are on the thing, and not all.

Every figure has the standard error over sentences.
"""

import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from lib.arguments import new_parser, path_arg
from lib.data.pictures import picture_size
from lib.display.arguments import add_arguments, galleries_of, pictures_of
from lib.display.gallery import Gallery, Shown
from lib.errors import InputError, exit_on_error
from lib.extraction.categories import NAMES

ON = 1 / 3  # of a region's box has the label
# Words of captions for COCO's things, besides their names and plurals.
WORDS = {
    "person": "man men woman women boy girl child children kid lady guy people player baby rider "
    "skateboarder surfer skier snowboarder toddler cyclist biker couple crowd",
    "dog": "puppy", "cat": "kitten", "bird": "seagull", "cow": "cattle", "teddy bear": "teddy",
    "bicycle": "bike", "motorcycle": "motorbike bike", "airplane": "plane jet", "truck": "pickup",
    "boat": "ship sailboat canoe", "traffic light": "stoplight", "sports ball": "ball",
    "tennis racket": "racket racquet", "baseball bat": "bat", "tv": "television", "couch": "sofa",
    "dining table": "table", "cell phone": "phone", "potted plant": "plant", "wine glass": "glass",
}  # fmt: skip


def words_for() -> dict[str, list[int]]:
    """A word, singular or plural -> the numbers of the categories that it may name."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(NAMES):
        for word in (name, *WORDS.get(name, "").split()):
            for form in (word, word + "s", word + "es"):
                found[form].append(number)
    return found


def mentions(caption: str, known: dict[str, list[int]]) -> dict[str, list[int]]:
    """The words of a caption, or two in a row, that name a category."""
    words = "".join(c if c.isalnum() else " " for c in caption.lower()).split()
    pairs = [" ".join(pair) for pair in pairwise(words)]
    return {word: known[word] for word in (*words, *pairs) if word in known}


def on_thing(labels: np.ndarray, boxes: np.ndarray, categories: set[int]) -> np.ndarray:
    """(S, S) labels, (K, 4) boxes as shares of the sides -> (K,) bool."""
    named = np.isin(labels.astype(int), list(categories))
    size, found = len(labels), []
    for left, top, right, bottom in boxes:
        first, last = int(left * size), max(int(np.ceil(right * size)), int(left * size) + 1)
        high, low = int(top * size), max(int(np.ceil(bottom * size)), int(top * size) + 1)
        found.append(named[high:low, first:last].mean() >= ON if first < size > high else False)
    return np.array(found)


def masses(shown: Shown, words: set[str]) -> dict[str, np.ndarray]:
    """Of each map, (K,) mass of the regions, which sums to one."""
    found = {}
    maps, real = shown.maps, shown.maps.mask[0].numpy(force=True)
    for name, values in maps.regions.items():
        found[name] = values[0].numpy(force=True)[real].clip(0)
    rows = [i for i, piece in enumerate(shown.pieces) if piece in words]
    for name, attention in maps.attention.items() if rows else ():
        found[f"{name}, the mentioning word"] = attention[0, rows].mean(0).numpy(force=True)[real]
    return {name: mass / mass.sum() for name, mass in found.items() if mass.sum() > 0}


def measure(gallery: Gallery, sizes: list, count: int, seed: int) -> dict[str, list[list[float]]]:
    """Name of a map -> mass on the thing, whether the top one is on it, and chance, a sentence a
    row; ``sizes`` are the pictures'."""
    split, known = gallery.split, words_for()
    labels = split.arrays.get("seg_map") or label_maps(gallery)
    rows: dict[str, list[list[float]]] = defaultdict(list)
    order = np.random.default_rng(seed).permutation(len(split.captions))
    done = 0
    for caption in order:
        if done == count:
            break
        image, text = int(caption) // 5, split.captions[caption]
        present = set(np.unique(labels[image].astype(int)).tolist())
        named = {w: n for w, n in mentions(text, known).items() if present & set(n)}
        if not named or sizes[image] is None:
            continue
        categories = present & {number for numbers in named.values() for number in numbers}
        shown = gallery.explain(image, text, sizes[image])
        if shown.boxes is None:
            raise InputError(
                f"{split.folder}: nobody knows where the regions are; needs *_ims_bbx.npy"
            )
        on = on_thing(labels[image], shown.boxes, categories)
        if not 0 < on.sum() < len(on):
            continue
        done += 1
        for name, mass in masses(shown, {w for word in named for w in word.split()}).items():
            rows[name].append([mass[on].sum(), on[mass.argmax()], on.mean()])
        place = np.isin(labels[image].astype(int), list(categories))
        for name, maps in shown.maps.maps.items():
            each = maps[0].numpy(force=True)[: len(on)][:, place].sum(axis=1)
            rows[f"{name}, all regions"].append([each.mean(), np.nan, place.mean()])
            rows[f"{name}, regions on the thing"].append([each[on].mean(), np.nan, place.mean()])
    return rows


def label_maps(gallery: Gallery) -> np.ndarray:
    """Of a model that does not read them."""
    path = gallery.split.folder / f"{gallery.split.name}_seg_maps.npy"
    if not path.is_file():
        raise InputError(f"{path}: no such file; it says where things are")
    return np.load(path, mmap_mode="r")


def main(words: list[str] | None = None) -> None:
    """Print the figures of the run that the command line, or ``words``, names."""
    parser = new_parser(__doc__)
    parser.add_argument("run", type=path_arg, help="a run's folder, or a checkpoint")
    parser.add_argument("--captions", type=int, default=1000, help="how many sentences that count")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of sentences")
    add_arguments(parser)
    args = parser.parse_args(words)
    with exit_on_error():
        pictures = pictures_of(args, [args.run])
        (gallery,) = galleries_of(args, [args.run])
        ids = gallery.split.image_ids
        sizes = [None] * len(ids)
        if pictures is not None:
            sizes = [picture_size(pictures.find(image_id)) for image_id in ids]
        rows = measure(gallery, sizes, args.captions, args.seed)
        if not rows:
            raise InputError(f"{gallery.split.folder}: no sentence names what some regions are on")
        print("| map | mass on the thing | most is on the thing | chance | sentences |")
        print("|---|---|---|---|---|")
        for name, found in rows.items():
            values = 100 * np.array(found)
            error = values.std(axis=0, ddof=1) / len(values) ** 0.5
            mean = values.mean(axis=0)
            most = "" if np.isnan(mean[1]) else f"{mean[1]:.1f} ± {error[1]:.1f}"
            told = f"{mean[0]:.1f} ± {error[0]:.1f} | {most} | {mean[2]:.1f}"
            print(f"| {name} | {told} | {len(values):,} |")


if __name__ == "__main__":
    main()
