"""Writes a world: pictures, captions, grids, and every array of a dataset, by the usual names."""

import json
import multiprocessing
from contextlib import ExitStack
from dataclasses import asdict
from multiprocessing.pool import Pool
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lib.data.segmentation import CATEGORIES, CELLS, arrays_of
from lib.demo.scenes.features import propose_boxes, region_features
from lib.demo.scenes.graphs import relation_matrix, saved_boxes
from lib.demo.scenes.grid import grid_features
from lib.demo.scenes.phrases import captions
from lib.demo.scenes.world import SPLITS, Scene, World, render, sample_scenes
from lib.device import default_workers
from lib.errors import InputError
from lib.files import atomic_write, read_json, reserved_array
from lib.outputs import exclusive

LAYOUT = 4  # of a world's folder; 1 had no grids, 2 no boxes, 3 fewer relations


def _make_image(job: tuple[World, str, int, Scene, Path, str]) -> tuple:
    """Render one image, save its picture and grid, return its captions and arrays."""
    world, split, index, scene, folder, image_id = job
    generator = np.random.default_rng((world.seed, SPLITS.index(split), index + 1))
    picture, labels, things = render(scene, world.domain, generator)
    picture.save(folder / "images" / f"{image_id}.png", compress_level=1)
    grid = grid_features(picture, world.img_dim).astype(world.dtype)
    np.save(folder / "grids" / f"{image_id}.npy", grid)
    lines = captions(scene.groups, scene.setting, world.domain, generator)
    found = [i for i in range(len(things)) if generator.random() >= world.missed]
    boxes, around = propose_boxes([things[i] for i in found], world.regions, generator)
    features = region_features(picture, labels, boxes, world.img_dim, generator)
    around = np.array([found[i] if i >= 0 else -1 for i in around])
    noise = np.random.default_rng((world.seed, SPLITS.index(split), index + 1, 1))
    graphs = saved_boxes(boxes, world, noise), relation_matrix(scene.groups, around, world, noise)
    segmentation = arrays_of(labels, map_size=world.map_size).values()
    return lines, (features, *segmentation, *graphs)


def _make_split(world: World, folder: Path, split: str, first_id: int, pool: Pool) -> None:
    count = getattr(world, split)
    ids = [f"{first_id + i:06d}" for i in range(count)]
    shapes = {
        "ims": (world.regions, world.img_dim),
        "segmentations": (CATEGORIES, CELLS, CELLS),
        "seg_maps": (world.map_size, world.map_size),
        "cat_onehots": (CATEGORIES,),
        "ims_bbx": (world.regions, 4),
        "rels": (world.regions, world.regions),
    }
    dtypes = {"seg_maps": "uint8", "ims_bbx": "float32", "rels": "uint8"}
    scenes = sample_scenes(world, split, count)
    jobs = [(world, split, i, scene, folder, ids[i]) for i, scene in enumerate(scenes)]
    lines: list[str] = []
    with ExitStack() as stack:
        arrays = []
        for name, shape in shapes.items():
            path = stack.enter_context(atomic_write(folder / f"{split}_{name}.npy"))
            dtype = dtypes.get(name, world.dtype)
            arrays.append(reserved_array(path, (count, *shape), dtype))
        made = pool.imap(_make_image, jobs, chunksize=8)
        progress = tqdm(made, f"{split} pictures", count, disable=None)
        for i, (five, values) in enumerate(progress):
            lines += five
            for array, value in zip(arrays, values, strict=True):
                array[i] = value
        for array in arrays:
            array.flush()
    for name, rows in (("caps", lines), ("ids", ids)):
        with atomic_write(folder / f"{split}_{name}.txt") as temporary:
            temporary.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


def write_world(world: World, folder: Path) -> bool:
    """Write every file of a dataset for train, dev and test, ``images/`` and ``grids/``; False
    where ``folder`` holds this very world already. Raises InputError: it holds another world or
    something else, or cannot be written."""
    marker = folder / "scenes.json"  # written last: a world without it is not whole
    unfinished = folder / "scenes.unfinished"  # so that an interrupted one may be written again
    wanted = {"layout": LAYOUT, **asdict(world)}
    if marker.is_file():
        found = read_json(marker, "record of a world")
        if found == wanted:
            return False
        raise InputError(f"{folder}: holds another world ({found}); remove it or choose --out")
    try:
        present = folder.is_dir() and any(p.name[0] != "." for p in folder.iterdir())
        if present and not unfinished.exists():
            raise InputError(f"{folder}: holds other files; choose another --out")
        for name in ("images", "grids"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        unfinished.touch()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error})") from error
    with exclusive(folder):
        cores = default_workers(most=1000)
        with multiprocessing.Pool(cores, torch.set_num_threads, (1,)) as pool:
            first_id = 1
            for split in SPLITS:
                _make_split(world, folder, split, first_id, pool)
                first_id += getattr(world, split)
            pool.close()
            pool.join()
        with atomic_write(marker) as temporary:
            temporary.write_text(json.dumps(wanted, indent=1) + "\n")
        unfinished.unlink()
    return True
