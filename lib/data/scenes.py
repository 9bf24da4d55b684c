"""The demo world "scenes": rendered pictures, captions, and every file of a dataset, by seed.

Regions say what is where only as far as a detector's would: a region's features come from the
pixels of its box with the background greyed out and the box resized, so they tell things and
colours, not the background, the place or the size. Those are in the segmentation alone.

    python -m lib.data.scenes --out data/scenes_precomp
"""

import argparse
import json
import multiprocessing
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from lib.data.drawings import RGB, SIZE, STUFF, THINGS, Canvas, Pen, draw_stuff, shade
from lib.data.phrases import Group, Setting, captions
from lib.errors import InputError
from lib.files import replacing

CATEGORIES = 133
CELLS = 7
VOID = 255
FIRST_THING = 53  # UPSNet numbers stuff 0..52, things 53..132
PATCH = 12  # pixels of a region's side before the transform
TRANSFORM_SEED = 20240407  # one transform for every world: features of two domains are comparable
NOISE = 0.15  # standard deviation, where the features' own is about one
SIDES = {"small": (0.15, 0.18), "medium": (0.21, 0.24), "large": (0.28, 0.32)}
SPLITS = ("train", "dev", "test")
# Tenths of all possible scenes that each split draws from; a scene belongs to one by its hash.
BUCKETS = {"train": range(0, 7), "dev": range(7, 8), "test": range(8, 10)}
PALETTES: dict[str, dict[str, RGB]] = {
    "a": {
        "red": (205, 40, 40),
        "orange": (240, 140, 30),
        "yellow": (245, 215, 50),
        "green": (50, 150, 60),
        "blue": (45, 85, 200),
        "purple": (130, 60, 160),
        "pink": (240, 150, 185),
        "white": (235, 235, 235),
        "black": (40, 40, 45),
    },
    "b": {
        "red": (170, 50, 60),
        "orange": (215, 125, 60),
        "yellow": (220, 190, 80),
        "green": (90, 140, 70),
        "blue": (75, 110, 170),
        "purple": (115, 75, 135),
        "pink": (215, 150, 165),
        "white": (215, 215, 205),
        "black": (65, 60, 60),
    },
}
SETTINGS = (
    Setting(
        "meadow",
        (("sky-other-merged", 0.0), ("grass-merged", 0.4)),
        ("on the grass", "in a green meadow"),
        ("meadow", "grassland"),
    ),
    Setting(
        "beach",
        (("sky-other-merged", 0.0), ("sea", 0.35), ("sand", 0.6)),
        ("on the beach", "by the sea"),
        ("beach", "seaside"),
    ),
    Setting(
        "street",
        (("building-other-merged", 0.0), ("road", 0.62)),
        ("on the road", "in a city street"),
        ("street", "city"),
    ),
    Setting(
        "mountains",
        (("sky-other-merged", 0.0), ("mountain-merged", 0.2), ("snow", 0.5)),
        ("in the snow", "before snowy mountains"),
        ("snowy", "winter"),
    ),
    Setting(
        "forest",
        (("tree-merged", 0.0), ("dirt-merged", 0.6)),
        ("in front of trees", "in the woods"),
        ("forest", "woodland"),
    ),
    Setting(
        "river",
        (("sky-other-merged", 0.0), ("tree-merged", 0.18), ("river", 0.5)),
        ("on the river", "in the river water"),
        ("river", "riverside"),
    ),
    Setting(
        "brick room",
        (("wall-brick", 0.0), ("floor-wood", 0.7)),
        ("before a brick wall", "in a room with bricks"),
        ("brick wall", "brick house"),
    ),
    Setting(
        "tiled room",
        (("wall-tile", 0.0), ("floor-other-merged", 0.68)),
        ("before a tiled wall", "in a bathroom"),
        ("bathroom", "tiled room"),
    ),
    Setting(
        "wooden room",
        (("wall-wood", 0.0), ("rug-merged", 0.7)),
        ("before a wooden wall", "in a room with a rug"),
        ("wooden room", "cabin"),
    ),
)


@dataclass(frozen=True)
class World:
    """What a world is a function of."""

    seed: int = 0
    domain: str = "a"  # a or b: palette, mix of categories and phrasing
    train: int = 1500
    dev: int = 200
    test: int = 250
    regions: int = 36
    img_dim: int = 2048
    map_size: int = 64
    dtype: str = "float16"  # of every float array


@dataclass(frozen=True)
class Scene:
    """One picture's content, without the jitter of its rendering."""

    setting: Setting
    groups: tuple[Group, ...]

    @property
    def signature(self) -> str:
        """Equal for two scenes of the same content."""
        parts = sorted(
            f"{g.size} {g.colour} {g.thing.name} {sorted(g.cells)}" for g in self.groups
        )
        return f"{self.setting.name}: {'; '.join(parts)}"

    @property
    def split(self) -> str:
        """The only split that may hold this scene: splits are disjoint by construction."""
        bucket = zlib.crc32(self.signature.encode()) % 10
        return next(split for split, buckets in BUCKETS.items() if bucket in buckets)


def sample_scene(world: World, generator: np.random.Generator) -> Scene:
    """One to three groups of things, at most five in all, in one setting."""
    # Each domain prefers other things and settings, in an order of its own.
    mix = np.random.default_rng(zlib.crc32(world.domain.encode()))
    things = 1 / (6 + mix.permutation(len(THINGS)))
    settings = 1 / (6 + mix.permutation(len(SETTINGS)))
    setting = SETTINGS[generator.choice(len(SETTINGS), p=settings / settings.sum())]
    colours = list(PALETTES[world.domain])
    cells = generator.permutation(9).tolist()
    kinds = generator.choice(
        len(THINGS), size=generator.choice((1, 2, 3), p=(0.2, 0.5, 0.3)), replace=False,
        p=things / things.sum(),
    )  # fmt: skip
    groups = []
    for kind in kinds:
        count = 1 if len(kinds) == 3 else int(generator.choice((1, 2, 3), p=(0.7, 0.2, 0.1)))
        groups.append(
            Group(
                THINGS[kind],
                colours[generator.integers(len(colours))],
                str(generator.choice(tuple(SIDES))),
                tuple(cells.pop() for _ in range(count)),
            )
        )
    return Scene(setting, tuple(groups))


def sample_scenes(world: World, split: str, count: int) -> list[Scene]:
    """``count`` different scenes that belong to ``split``."""
    generator = np.random.default_rng((world.seed, SPLITS.index(split)))
    scenes: dict[str, Scene] = {}
    while len(scenes) < count:
        scene = sample_scene(world, generator)
        if scene.split == split:
            scenes.setdefault(scene.signature, scene)
    return list(scenes.values())


Box = tuple[float, float, float, float]  # left, top, right, bottom in units of the picture


def render(
    scene: Scene, domain: str, generator: np.random.Generator
) -> tuple[Image.Image, np.ndarray, list[Box]]:
    """A scene's picture, its exact labels (SIZE, SIZE) uint8, and its things' boxes."""
    canvas = Canvas.blank()
    shift = generator.uniform(-0.06, 0.06)
    edges = [top + (shift if top else 0.0) for _, top in scene.setting.bands] + [1.0]
    for (name, _), top, bottom in zip(scene.setting.bands, edges, edges[1:], strict=False):
        # A ragged upper edge (mountains, trees) shows what is behind it, not void.
        reach = 1.0 if (name, top) == (scene.setting.bands[0][0], 0.0) else bottom
        if name == "tree-merged" and top == 0.0:
            draw_stuff(canvas, STUFF["sky-other-merged"], 0.0, 0.5, generator)
        draw_stuff(canvas, STUFF[name], top, reach, generator)
    boxes = []
    for group in scene.groups:
        colour = PALETTES[domain][group.colour]
        for cell in group.cells:
            side = generator.uniform(*SIDES[group.size])
            row, column = divmod(cell, 3)
            left = (column + 0.5) / 3 - side / 2 + generator.uniform(-0.02, 0.02)
            top = (row + 0.5) / 3 - side / 2 + generator.uniform(-0.02, 0.02)
            left, top = (min(max(v, 0.0), 1.0 - side) for v in (left, top))
            box = (left, top, left + side, top + side)
            pen = Pen(canvas, box, group.thing.number, bool(generator.random() < 0.5))
            group.thing.draw(pen, shade(colour, generator.uniform(0.9, 1.1)))
            boxes.append(box)
    return *canvas.finished(), boxes


def propose_boxes(things: list[Box], count: int, generator: np.random.Generator) -> list[Box]:
    """Boxes around things, about four each, filled up with random boxes and shuffled."""
    boxes = []
    for left, top, right, bottom in things * 4:
        jitter = generator.uniform(-0.12, 0.12, 4) * (right - left)
        boxes.append(tuple(np.clip(np.add((left, top, right, bottom), jitter), 0.0, 1.0)))
    boxes = boxes[:count]
    while len(boxes) < count:
        width, height = generator.uniform(0.15, 0.5, 2)
        left, top = generator.uniform(0, 1 - width), generator.uniform(0, 1 - height)
        boxes.append((left, top, left + width, top + height))
    return [boxes[i] for i in generator.permutation(count)]


def region_features(
    picture: Image.Image,
    labels: np.ndarray,
    boxes: list[Box],
    img_dim: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Features of boxes from their pixels, (K, img_dim) float32, non-negative as a detector's.

    Stuff is greyed out, each box resized to 12 x 12, its values scaled to -1..1, multiplied by a
    fixed random matrix, cut at zero, and disturbed by noise.
    """
    pixels = np.array(picture)
    pixels[(labels < FIRST_THING) | (labels == VOID)] = 128
    greyed = Image.fromarray(pixels)
    patches = [
        greyed.resize(
            (PATCH, PATCH), Image.Resampling.BILINEAR, box=tuple(SIZE * edge for edge in box)
        )
        for box in boxes
    ]
    values = np.stack([np.asarray(p, np.float32).ravel() for p in patches]) / 127.5 - 1
    fixed = np.random.default_rng(TRANSFORM_SEED)
    matrix = fixed.standard_normal((img_dim, values.shape[1]), np.float32).T
    features = values @ (matrix / np.float32(np.sqrt(values.shape[1]) / 2))
    noise = generator.standard_normal(features.shape, np.float32) * np.float32(NOISE)
    return np.maximum(features + noise, 0)


def segmentation_arrays(labels: np.ndarray, map_size: int) -> tuple[np.ndarray, ...]:
    """From exact labels: shares (133, 7, 7), label map (map_size, map_size), presence (133,).

    Shares are of each cell's pixels; the map is reduced by nearest neighbour.
    """
    side = SIZE // CELLS
    shares = np.zeros((CATEGORIES, CELLS, CELLS), np.float32)
    present = np.unique(labels)
    present = present[present != VOID]
    for number in present:
        cells = (labels == number).reshape(CELLS, side, CELLS, side)
        shares[number] = cells.mean(axis=(1, 3))
    reduced = Image.fromarray(labels).resize((map_size, map_size), Image.Resampling.NEAREST)
    presence = np.zeros(CATEGORIES, np.float32)
    presence[present] = 1
    return shares, np.array(reduced), presence


def _make_image(job: tuple[World, str, int, Scene, Path]) -> tuple:
    """Render one image, save its picture, return its captions and arrays."""
    world, split, index, scene, path = job
    generator = np.random.default_rng((world.seed, SPLITS.index(split), index + 1))
    picture, labels, things = render(scene, world.domain, generator)
    picture.save(path)
    lines = captions(scene.groups, scene.setting, world.domain, generator)
    boxes = propose_boxes(things, world.regions, generator)
    features = region_features(picture, labels, boxes, world.img_dim, generator)
    return lines, (features, *segmentation_arrays(labels, world.map_size))


def _make_split(world: World, folder: Path, split: str, first_id: int) -> None:
    count = getattr(world, split)
    ids = [f"{first_id + i:06d}" for i in range(count)]
    shapes = {
        "ims": (world.regions, world.img_dim),
        "segmentations": (CATEGORIES, CELLS, CELLS),
        "seg_maps": (world.map_size, world.map_size),
        "cat_onehots": (CATEGORIES,),
    }
    scenes = sample_scenes(world, split, count)
    jobs = [
        (world, split, i, scene, folder / "images" / f"{ids[i]}.png")
        for i, scene in enumerate(scenes)
    ]
    lines: list[str] = []
    with ExitStack() as stack:
        arrays = []
        for name, shape in shapes.items():
            path = stack.enter_context(replacing(folder / f"{split}_{name}.npy"))
            dtype = "uint8" if name == "seg_maps" else world.dtype
            arrays.append(np.lib.format.open_memmap(path, "w+", dtype, (count, *shape)))
        for i, (five, values) in enumerate(tqdm(_in_parallel(jobs), f"{split} pictures", count)):
            lines += five
            for array, value in zip(arrays, values, strict=True):
                array[i] = value
        for array in arrays:
            array.flush()
    for name, rows in (("caps", lines), ("ids", ids)):
        with replacing(folder / f"{split}_{name}.txt") as temporary:
            temporary.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


def _in_parallel(jobs: list[tuple]) -> Iterator[tuple]:
    with multiprocessing.Pool() as pool:
        yield from pool.imap(_make_image, jobs, chunksize=8)


def write_world(world: World, folder: Path) -> bool:
    """Write every file of section 2 for train, dev and test, and ``images/<id>.png``.

    Returns:
        False where ``folder`` holds this very world already, True after writing it.

    Raises:
        InputError: ``folder`` holds another world or something else, or cannot be written.
    """
    marker = folder / "scenes.json"  # written last: a world without it is not whole
    wanted = asdict(world)
    if marker.is_file():
        found = json.loads(marker.read_text())
        if found == wanted:
            return False
        raise InputError(f"{folder}: holds another world ({found}); remove it or choose --out")
    try:
        (folder / "images").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error})") from error
    first_id = 1
    for split in SPLITS:
        _make_split(world, folder, split, first_id)
        first_id += getattr(world, split)
    with replacing(marker) as temporary:
        temporary.write_text(json.dumps(wanted, indent=1) + "\n")
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the demo world and its files.")
    parser.add_argument("--out", type=Path, required=True, help="a folder like data/scenes_precomp")
    for name, default in asdict(World()).items():
        choices = {"domain": tuple(PALETTES), "dtype": ("float16", "float32")}.get(name)
        parser.add_argument(f"--{name}", type=type(default), default=default, choices=choices)
    args = vars(parser.parse_args())
    folder = args.pop("out")
    if min(args[name] for name in (*SPLITS, "regions", "img_dim", "map_size")) < 1:
        parser.error("sizes must be at least 1")
    try:
        written = write_world(World(**args), folder)
    except InputError as error:
        sys.exit(f"error: {error}")
    print(f"{folder}: {'written' if written else 'already there'}")


if __name__ == "__main__":
    main()
