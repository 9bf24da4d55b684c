"""Boxes and relations: checked, cut with the regions, the demo world's, those of scene graphs."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest

from lib.config import FeaturesConfig, load_config
from lib.data.dataset import collate_images, training_item
from lib.data.split import open_split
from lib.demo.scenes.canvas import SIZE
from lib.demo.scenes.features import propose_boxes
from lib.demo.scenes.graphs import relation_matrix, saved_boxes
from lib.demo.scenes.phrases import relation
from lib.demo.scenes.world import World, render, sample_scenes
from lib.errors import InputError
from tests.support import ROOT, fail, succeed

TRAIN = ("python", "train.py", "--config", "configs/scenes_cmsei.yaml")


@pytest.mark.parametrize(("stem", "graph"), [("ims_bbx", "spatial"), ("rels", "semantic")])
def test_missing_or_misshapen_graphs_are_refused(cmsei_settings, world, tmp_path, stem, graph):
    root = tmp_path / "data"
    shutil.copytree(world, root)
    path = root / "scenes_precomp" / f"train_{stem}.npy"
    plain_settings = [*cmsei_settings, f"data.root={root}", f"run.out={tmp_path / 'run'}"]
    values = np.load(path)
    np.save(path, values[:, :-1])
    error = fail(*TRAIN, *plain_settings, "features.regions=6")
    assert f"train_{stem}.npy: holds entries of shape" in error
    with pytest.raises(InputError, match=f"train_{stem}.npy: is of 5 regions"):
        open_split(load_config(ROOT / "configs/scenes_cmsei.yaml", plain_settings), "train")
    values[3] = 255 if stem == "rels" else (50, 50, 20, 30)
    np.save(path, values)
    split = open_split(load_config(ROOT / "configs/scenes_cmsei.yaml", plain_settings), "train")
    with pytest.raises(InputError, match=f"train_{stem}.npy: entry 3 holds .*(255|x, y, width)"):
        training_item(split, 3, FeaturesConfig(), np.random.default_rng(0))
    path.unlink()
    error = fail(*TRAIN, *plain_settings)
    assert f"train_{stem}.npy: no such file. It is for the {graph} graph" in error
    assert not (tmp_path / "run").exists()
    config = load_config(
        ROOT / "configs/scenes_cmsei.yaml", [*plain_settings, f"model.use_{graph}_graph=false"]
    )
    split = open_split(config, "train")
    assert split.arrays.keys() == {"relations" if stem == "ims_bbx" else "boxes"}


def test_cells_of_a_grid_have_no_boxes(cmsei_settings):
    words = [*cmsei_settings, "features.type=grid", "features.folder=grids"]
    with pytest.raises(InputError, match=r"features\.type is grid, but .*_ims_bbx\.npy"):
        load_config(ROOT / "configs/scenes_cmsei.yaml", words)


def test_dropped_regions_take_their_edges_along(cmsei_settings, world):
    config = load_config(ROOT / "configs/scenes_cmsei.yaml", [*cmsei_settings, "features.drop=0.5"])
    split = open_split(config, "train")
    generator = np.random.default_rng(5)
    items = [training_item(split, image, config.features, generator) for image in (3, 4)]
    batch = collate_images(items, split.region_axes)
    boxes, relations = batch.arrays["boxes"], batch.arrays["relations"]
    for row, image in enumerate((3, 4)):
        whole = split.features[image]
        k = int(batch.lengths[row])
        kept = [int(np.flatnonzero((whole == r).all(axis=1))[0])
                for r in batch.features[row, :k].numpy()]  # fmt: skip
        assert 0 < k < len(whole)
        np.testing.assert_array_equal(boxes[row, :k], split.arrays["boxes"][image][kept])
        expected = split.arrays["relations"][image][np.ix_(kept, kept)]
        np.testing.assert_array_equal(relations[row, :k, :k], expected)
        assert not boxes[row, k:].any()
        assert not relations[row, k:].any() and not relations[row, :, k:].any()


def test_scenes_relations_are_what_captions_say():
    world = World(train=30, dev=2, test=2, regions=12, img_dim=8, map_size=16, missed=0.0)
    found = together = 0
    for index, scene in enumerate(sample_scenes(world, "train", 30)):
        generator = np.random.default_rng(index)
        _, _, things = render(scene, "a", generator)
        boxes, around = propose_boxes(things, world.regions, generator)
        matrix = relation_matrix(scene.groups, around, world, generator)
        saved = saved_boxes(boxes, world, generator)
        np.testing.assert_allclose(saved, np.array(boxes) * SIZE, rtol=1e-6)
        owner = [group for group in scene.groups for _ in group.cells]
        same = np.array([[i >= 0 and j >= 0 and i != j and owner[i] is owner[j] for j in around]
                         for i in around])  # fmt: skip
        assert matrix[same].all()  # as in "three red apples"
        together += same.sum()
        for i, j in np.argwhere(matrix.astype(bool) & ~same):
            said = relation(owner[around[i]], owner[around[j]])
            assert said in ("to the left of", "above")
            centre, other_centre = (saved[r].reshape(2, 2).mean(axis=0) for r in (i, j))
            axis = 0 if said == "to the left of" else 1
            assert centre[axis] < other_centre[axis]
            found += 1
    assert found > 50 and together > 50
    noisy = World(**{**asdict(world), "missed_relations": 0.5, "false_relations": 0.2,
                     "box_noise": 0.1})  # fmt: skip
    scene = next(s for s in sample_scenes(world, "train", 30)
                 if len(s.groups) == 3)  # fmt: skip
    generator = np.random.default_rng(0)
    boxes, around = propose_boxes(render(scene, "a", generator)[2], 12, generator)
    exact = relation_matrix(scene.groups, around, world, np.random.default_rng(1))
    disturbed = relation_matrix(scene.groups, around, noisy, np.random.default_rng(1))
    assert 0 < (exact & disturbed).sum() < exact.sum()
    assert (disturbed & ~exact & 1).any()
    moved = saved_boxes(boxes, noisy, np.random.default_rng(1)) - np.array(boxes) * SIZE
    assert 1 < np.abs(moved).mean() < 15


def graphs_of(folder, split):
    """The scene graphs that a generator with perfect boxes would write of a split's relations."""
    ids = (folder / f"{split}_ids.txt").read_text().split()
    boxes, matrices = (np.load(folder / f"{split}_{stem}.npy") for stem in ("ims_bbx", "rels"))
    return [
        {"image_id": i, "boxes": b.tolist(), "pairs": np.argwhere(m).tolist(),
         "scores": [0.9] * int(m.sum())}
        for i, b, m in zip(ids, boxes, matrices, strict=True)
    ]  # fmt: skip


def test_scene_graphs_become_relations(world, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(world / "scenes_precomp", folder)
    expected = np.load(folder / "test_rels.npy")
    graphs = graphs_of(folder, "test")
    graphs.append({"image_id": "of another split", "boxes": [], "pairs": []})
    graphs[0]["boxes"].append([-50, -50, -20, -20])  # overlaps nothing
    graphs[0]["pairs"].append([0, 6])
    graphs[0]["scores"].append(0.9)
    lines = tmp_path / "g.jsonl"
    lines.write_text("".join(json.dumps(g) + "\n" for g in reversed(graphs)))
    command = ("python", "scripts/scene_graph_to_rels.py", "--graphs", lines, "--data", folder,
               "--split", "test")  # fmt: skip
    (folder / "test_rels.npy").unlink()
    printed = succeed(*command)
    assert f"{expected.sum():,} relations of 10 images; 1 lost" in printed
    found = np.load(folder / "test_rels.npy")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)
    assert "test_rels.npy: exists already" in fail(*command, "--min_score", "0.95")
    command += ("--overwrite",)
    succeed(*command, "--min_score", "0.95")
    assert not np.load(folder / "test_rels.npy").any()
    before = (folder / "test_rels.npy").read_bytes()
    for broken, message in (
        ('{"image_id": 1}', "is not a scene graph"),
        ('{"image_id": 1, "boxes": [[0, 0, 1, 1]], "pairs": [[0, 1]]}', "names box 1"),
        ('{"image_id": 1, "boxes": [], "pairs": [[0, 1, 7], [1, 2, 7]]}', "expected 2 numbers"),
        ('{"image_id": 1, "boxes": [], "pairs": [[0.5, 1]]}', "float64 where int64"),
        ('{"image_id": 1, "boxes": [[0, 0, 1, 1]], "pairs": [[-1, 0]]}', "names box -1"),
        ('{"image_id": 1, "boxes": [], "pairs": [], "scores": [1]}', "scores of shape"),
        (json.dumps(graphs[1]) + "\n" + json.dumps(graphs[1]), "is the second graph"),
        (json.dumps(graphs[1]), "has no line of 9 of 10 images"),
    ):
        lines.write_text(broken + "\n")
        assert message in fail(*command)
    assert (folder / "test_rels.npy").read_bytes() == before


def test_an_image_of_more_regions_than_boxes_is_refused(cmsei_settings, world, tmp_path):
    """Features in one file per image may differ in rows; each must have its boxes."""
    data = shutil.copytree(world / "scenes_precomp", tmp_path / "scenes_precomp")
    (data / "regions").mkdir()
    for image_id, rows in zip(
        (data / "train_ids.txt").read_text().split(), np.load(data / "train_ims.npy"), strict=True
    ):
        more = rows if image_id != "000003" else np.concatenate([rows, rows[:1]])
        np.save(data / "regions" / f"{image_id}.npy", more)
    words = [*cmsei_settings, f"data.root={tmp_path}", "features.folder=regions"]
    config = load_config(ROOT / "configs/scenes_cmsei.yaml", words)
    split = open_split(config, "train")
    with pytest.raises(InputError, match=r"train_\w+\.npy: has 6 regions of image 000003, .* 7"):
        training_item(split, 2, config.features, np.random.default_rng(0))
