"""The demo world: deterministic, disjoint, exact, and silent where regions must be silent."""

import dataclasses
import json
import sys
from multiprocessing.pool import ThreadPool

import numpy as np
import pytest
from PIL import Image

import lib.demo.scenes.__main__ as scenes_command
from lib.data.captions import read_captions
from lib.data.segmentation import VOID, arrays_of
from lib.demo.scenes.backgrounds import SETTINGS, STUFF
from lib.demo.scenes.canvas import SIZE
from lib.demo.scenes.features import propose_boxes, region_features
from lib.demo.scenes.files import write_world
from lib.demo.scenes.grid import grid_features
from lib.demo.scenes.phrases import captions
from lib.demo.scenes.things import THINGS
from lib.demo.scenes.world import PALETTES, SPLITS, World, render, sample_scenes
from lib.errors import InputError
from tests.support import GOLDEN, fail, succeed

SMALL = World(train=6, dev=3, test=4, regions=5, img_dim=16, map_size=8)


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_a_world_is_a_function_of_its_settings(tmp_path):
    sizes = [f"--{k}={v}" for k, v in dataclasses.asdict(SMALL).items()]
    folder = tmp_path / "one"
    command = ("python", "-m", "lib.demo.scenes", "--out", folder, *sizes)
    assert "written" in succeed(*command)
    assert "already there" in succeed(*command)
    assert "another world" in fail(*command, "--seed", "1")
    write_world(SMALL, tmp_path / "two")
    write_world(dataclasses.replace(SMALL, seed=1), tmp_path / "other")
    one, two, other = (files(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert one.keys() == other.keys()
    assert one["test_ims.npy"] != other["test_ims.npy"]
    assert set(one) >= {f"{s}_{kind}" for s in SPLITS for kind in ("caps.txt", "ims.npy")}


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "train_caps.txt").write_text("precious\n")
    with pytest.raises(InputError, match="holds other files"):
        write_world(SMALL, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["train_caps.txt"]


def test_an_interrupted_world_is_written_again(tmp_path):
    write_world(SMALL, tmp_path / "whole")
    write_world(SMALL, tmp_path / "again")
    (tmp_path / "again" / "scenes.json").rename(tmp_path / "again" / "scenes.unfinished")
    (tmp_path / "again" / "test_ims.npy").unlink()
    assert write_world(SMALL, tmp_path / "again")
    assert files(tmp_path / "again") == files(tmp_path / "whole")


def test_an_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_world(SMALL, tmp_path / "file")


def test_splits_are_disjoint_by_construction(tmp_path):
    scenes = {split: sample_scenes(World(), split, 250) for split in SPLITS}
    for split, members in scenes.items():
        assert {scene.split for scene in members} == {split}
    signatures = [scene.signature for members in scenes.values() for scene in members]
    assert len(set(signatures)) == 750
    write_world(SMALL, tmp_path)
    pictures = [p.read_bytes() for p in (tmp_path / "images").iterdir()]
    assert len(set(pictures)) == len(pictures) == 13
    ids = [i for s in SPLITS for i in (tmp_path / f"{s}_ids.txt").read_text().split()]
    assert len(set(ids)) == 13


def test_categories_are_cocos_under_upsnets_numbers():
    coco = json.loads((GOLDEN / "panoptic_coco_categories.json").read_text())
    things = [c["name"] for c in coco if c["isthing"]]
    stuff = [c["name"] for c in coco if not c["isthing"]]
    assert (len(things), len(stuff)) == (80, 53)
    for thing in THINGS:
        assert thing.number == 53 + things.index(thing.name)
    for background in STUFF.values():
        assert background.number == stuff.index(background.name)
    assert len({t.number for t in THINGS}) == len(THINGS) == 16


def test_segmentation_is_exact():
    scene = sample_scenes(World(), "train", 1)[0]
    _, labels, _ = render(scene, "a", np.random.default_rng(0))
    shares, reduced, presence = arrays_of(labels).values()
    assert labels.shape == (SIZE, SIZE)
    for category in range(133):
        for row in range(7):
            for column in range(7):
                cell = labels[32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
                assert shares[category, row, column] == (cell == category).mean()
    assert presence.nonzero()[0].tolist() == sorted(set(np.unique(labels)) - {VOID})
    assert set(np.unique(reduced)) <= set(np.unique(labels))
    # Nearest neighbour: every reduced pixel is the pixel under its centre.
    centres = ((np.arange(64) + 0.5) * SIZE / 64).astype(int)
    np.testing.assert_array_equal(reduced, labels[np.ix_(centres, centres)])


def test_every_setting_covers_the_picture_and_every_thing_leaves_a_mark():
    scenes = sample_scenes(World(), "train", 120)
    seen = set()
    for scene in scenes:
        picture, labels, boxes = render(scene, "a", np.random.default_rng(1))
        assert picture.size == (SIZE, SIZE)
        assert VOID not in labels
        for group in scene.groups:
            assert group.thing.number in labels
            seen.add(group.thing.name)
        assert len(boxes) == sum(len(group.cells) for group in scene.groups)
    assert len(seen) == 16
    assert {s.name for s in SETTINGS} == {scene.setting.name for scene in scenes}


def test_regions_tell_things_but_not_place_nor_background():
    """The same thing at another place before another background has the same features."""
    red = np.zeros((SIZE, SIZE, 3), np.uint8)
    labels = np.full((SIZE, SIZE), STUFF["sea"].number, np.uint8)
    red[20:60, 20:60] = labels[20:60, 20:60] = THINGS[0].number
    moved, moved_labels = np.roll(red, 84, axis=(0, 1)), np.roll(labels, 84, axis=(0, 1))
    moved[moved_labels == STUFF["sea"].number] = (200, 10, 10)
    moved_labels[moved_labels == STUFF["sea"].number] = STUFF["grass-merged"].number
    first, second = (
        region_features(Image.fromarray(p), la, [box], 64, np.random.default_rng(0))
        for p, la, box in (
            (red, labels, (20 / SIZE, 20 / SIZE, 60 / SIZE, 60 / SIZE)),
            (moved, moved_labels, (104 / SIZE, 104 / SIZE, 144 / SIZE, 144 / SIZE)),
        )
    )
    np.testing.assert_allclose(first, second, atol=1e-5)
    other = region_features(
        Image.fromarray(red), labels, [(0.6, 0.6, 0.9, 0.9)], 64, np.random.default_rng(0)
    )
    assert np.abs(first - other).max() > 0.5


def test_cells_tell_the_background_and_what_is_near():
    """Unlike regions; and far from a thing nothing tells of it."""
    grass, sea = (
        np.full((SIZE, SIZE, 3), colour, np.uint8) for colour in ((60, 140, 60), (40, 80, 170))
    )
    red = grass.copy()
    red[100:124, 100:124] = (205, 40, 40)
    on_grass, at_sea, with_red = (grid_features(Image.fromarray(p), 64) for p in (grass, sea, red))
    assert on_grass.shape == (7, 7, 64)
    assert on_grass.min() >= 0
    assert np.abs(on_grass - at_sea).max(axis=2).min() > 0.1
    differs = np.abs(on_grass - with_red).max(axis=2) > 1e-4
    assert differs[3, 3]
    assert not differs[0].any() and not differs[:, 6].any()


def test_grids_are_of_their_own_pictures_and_the_same_in_every_process(tmp_path):
    write_world(SMALL, tmp_path)
    names = {path.stem for path in (tmp_path / "grids").iterdir()}
    assert names == {path.stem for path in (tmp_path / "images").iterdir()}
    for path in (tmp_path / "grids").iterdir():
        picture = Image.open(tmp_path / "images" / f"{path.stem}.png")
        expected = grid_features(picture, SMALL.img_dim).astype(np.float16)
        np.testing.assert_array_equal(np.load(path), expected)


def test_most_regions_of_a_crowded_picture_are_around_things():
    things = [(0.1, 0.1, 0.3, 0.3), (0.6, 0.6, 0.9, 0.9)]
    boxes, around = propose_boxes(things, 24, np.random.default_rng(0))
    assert len(boxes) == 24
    for box, thing in zip(boxes, around, strict=True):
        if thing >= 0:
            assert np.abs(np.subtract(box, things[thing])).max() < 0.05
    assert [(around == i).sum() for i in (0, 1, -1)] == [4, 4, 16]
    assert all(0 <= le < ri <= 1 and 0 <= to < bo <= 1 for le, to, ri, bo in boxes)
    near = [sum(np.abs(np.subtract(box, thing)).max() < 0.05 for box in boxes) for thing in things]
    assert all(count >= 4 for count in near)


def test_the_detector_misses_some_things_in_regions_alone(tmp_path):
    for missed in (0.0, 1.0):
        write_world(dataclasses.replace(SMALL, missed=missed), tmp_path / str(missed))
    seen, unseen = (files(tmp_path / name) for name in ("0.0", "1.0"))
    differing = {name for name in seen if seen[name] != unseen[name]} - {"scenes.json"}
    of_regions = ("ims", "ims_bbx", "rels")
    assert differing == {f"{split}_{stem}.npy" for split in SPLITS for stem in of_regions}


def test_captions_speak_of_what_is_there():
    generator = np.random.default_rng(0)
    words = {"colour": 0, "count": 0, "background": 0, "place": 0, "relation": 0}
    for domain in ("a", "b"):
        for scene in sample_scenes(World(domain=domain), "train", 100):
            lines = captions(scene.groups, scene.setting, domain, generator)
            assert len(lines) == 5
            for line in lines:
                assert "{" not in line
                assert any(g.thing.name in line or g.thing.plural in line for g in scene.groups), (
                    line
                )
                named = {c for c in PALETTES["a"] if f" {c} " in f" {line.lower()} "}
                assert named - {"green"} <= {g.colour for g in scene.groups}, line
                where = (*scene.setting.where, *scene.setting.scene)
                words["colour"] += bool(named)
                words["count"] += "two" in line.lower() or "three" in line.lower()
                words["background"] += any(w in line.lower() for w in where)
                words["place"] += any(p in line for p in ("corner", " left", " right", "middle"))
                words["relation"] += any(r in line for r in ("left of", "above", "below"))
    assert all(count >= 40 for count in words.values()), words


def test_domains_differ_in_palette_mix_and_phrasing(tmp_path):
    for domain in ("a", "b"):
        write_world(dataclasses.replace(SMALL, domain=domain), tmp_path / domain)
    one, other = (read_captions(tmp_path / d / "train_caps.txt") for d in ("a", "b"))
    assert not set(one) & set(other)
    assert PALETTES["a"].keys() == PALETTES["b"].keys()
    assert all(PALETTES["a"][c] != PALETTES["b"][c] for c in PALETTES["a"])

    def shares(domain):
        scenes = sample_scenes(World(domain=domain), "train", 400)
        kinds = [g.thing.name for s in scenes for g in s.groups]
        return np.array([kinds.count(t.name) / len(kinds) for t in THINGS])

    assert np.abs(shares("a") - shares("b")).sum() > 0.3


def test_a_world_is_the_same_without_other_processes(tmp_path, monkeypatch):
    write_world(SMALL, tmp_path / "pool")
    monkeypatch.setattr("multiprocessing.Pool", lambda *_: ThreadPool(1))
    write_world(SMALL, tmp_path / "alone")
    assert files(tmp_path / "alone") == files(tmp_path / "pool")


@pytest.mark.parametrize(
    ("flag", "message"),
    [("--train=0", "sizes must be at least 1"), ("--missed=1.5", "--missed must be from 0 to 1"),
     ("--box_noise=inf", "--box_noise must be from 0"), ("--domain=x", "invalid choice")],
)  # fmt: skip
def test_worlds_that_cannot_be(tmp_path, monkeypatch, capsys, flag, message):
    monkeypatch.setattr(sys, "argv", ["scenes", "--out", str(tmp_path / "w"), flag])
    with pytest.raises(SystemExit) as left:
        scenes_command.main()
    assert left.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
