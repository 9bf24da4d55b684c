"""CMSEI beside a plain version written from the paper; its data, its chunks, its runs."""

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

import eval as eval_script
from lib.batch import ImageBatch, TextBatch
from lib.checkpoint import load_checkpoint, save_released
from lib.config import FeaturesConfig, ModelConfig, load_config
from lib.data.boxes import overlaps
from lib.data.dataset import collate_images, training_item
from lib.data.features import open_split
from lib.data.scenes.canvas import SIZE
from lib.data.scenes.features import propose_boxes
from lib.data.scenes.graphs import relation_matrix, saved_boxes
from lib.data.scenes.phrases import relation
from lib.data.scenes.world import World, render, sample_scenes
from lib.errors import InputError
from lib.evaluation import encode
from lib.evaluation.encode import Embeddings
from lib.models import build_model
from lib.models.cmsei import iou
from lib.scoring import score_checkpoint
from tests import plain_cmsei as plain
from tests.support import ROOT, fail, succeed
from tests.test_processes import LARGEST, TORCHRUN, deviations

TRAIN = ("python", "train.py", "--config", "configs/scenes_cmsei.yaml")
EVAL = ("python", "eval.py", "--device", "cpu", "--checkpoint")

WIDTH, IMAGES, CAPTIONS = 16, 3, 4
SWITCHES = ("spatial_graph", "semantic_graph", "text_graph", "local_interaction",
            "global_interaction")  # fmt: skip


def build(direction, **switches):
    config = ModelConfig(
        family="cmsei", img_dim=12, embed_size=WIDTH, segmentation=False, direction=direction,
        **{f"use_{name}": value for name, value in switches.items()},
    )  # fmt: skip
    torch.manual_seed(0)
    bert = BertModel(
        BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                   intermediate_size=32)
    )  # fmt: skip
    model = build_model(config, bert).double().eval()
    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():  # graphs that start as nothing test nothing
        if ".norm." in name and tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return model


def batches():
    """Ragged images and captions, float64."""
    generator = torch.Generator().manual_seed(2)

    def random(*shape):
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    lengths = torch.tensor([5, 2, 7])
    features = torch.randn(IMAGES, 7, 12, generator=generator, dtype=torch.float64)
    corner = random(IMAGES, 7, 2) * 20
    boxes = torch.cat([corner, corner + 15 + random(IMAGES, 7, 2) * 20], dim=-1)
    boxes[0, 3, 2:] = boxes[0, 3, :2]  # empty
    relations = (random(IMAGES, 7, 7) < 0.4).double()
    images = ImageBatch(features, lengths, torch.arange(3), boxes=boxes, relations=relations)
    sizes = torch.tensor([4, 9, 3, 6])
    ids = torch.randint(1, 50, (CAPTIONS, 9), generator=generator)
    return images, TextBatch(ids, sizes, torch.arange(CAPTIONS))


def plain_scores(model, images, texts, direction, **on):
    """(images, captions) by the plain version."""
    state = dict(model.named_parameters()) | dict(model.named_buffers())
    on = {name: on.get(name, True) for name in SWITCHES}
    words = model.text_encoder.words(texts)
    sides = [[], []]
    for i, k in enumerate(images.lengths.tolist()):
        parts = (images.features[i, :k], images.boxes[i, :k].tolist(), images.relations[i, :k, :k])
        sides[0].append(plain.image(state, *parts, on["spatial_graph"], on["semantic_graph"]))
    for i, n in enumerate(texts.lengths.tolist()):
        t = list(words[i, :n])
        sides[1].append((t, plain.sentence(state, t, on["text_graph"])))
    rows = []
    for image in sides[0]:
        pairs = [(image, text) if direction == "i2t" else (text, image) for text in sides[1]]
        use = (on["local_interaction"], on["global_interaction"])
        rows.append(torch.stack([plain.score(state, *pair, *use) for pair in pairs]))
    return torch.stack(rows)


def scores(model, images, texts):
    return model.score(model.encode_images(images), model.encode_texts(texts))


def of(loss, model):
    gradients = torch.autograd.grad(loss, model.parameters(), allow_unused=True)
    names = (name for name, _ in model.named_parameters())
    return {name: g for name, g in zip(names, gradients, strict=True) if g is not None}


@pytest.mark.parametrize("direction", ["i2t", "t2i"])
@pytest.mark.parametrize("off", [None, *SWITCHES])
def test_it_is_the_paper_s(direction, off):
    on = {} if off is None else {off: False}
    model = build(direction, **on)
    images, texts = batches()
    found = scores(model, images, texts)
    expected = plain_scores(model, images, texts, direction, **on)
    deviation = (found - expected).abs().max().item()
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(3)).double()
    ours, theirs = of((found * weight).sum(), model), of((expected * weight).sum(), model)
    assert ours.keys() == theirs.keys()
    gradient = max((ours[n] - g).abs().max().item() for n, g in theirs.items())
    print(f"{direction} without {off}: scores {deviation:.0e}, gradients {gradient:.0e}")
    assert deviation < 1e-6  # the score itself is float32
    assert gradient < 1e-5
    with torch.no_grad():  # in place
        assert (scores(model, images, texts) - expected).abs().max() < 1e-6
    if off is not None:
        whole = plain_scores(build(direction), images, texts, direction)
        assert (whole - expected).abs().max() > 1e-3


@pytest.mark.parametrize("direction", ["i2t", "t2i"])
@pytest.mark.parametrize("training", [False, True])
def test_the_chunk_size_changes_no_score(direction, training):
    model, (images, texts) = build(direction).float(), batches()
    images = images.each(lambda t: t.float() if t.is_floating_point() else t)
    results = []
    for memory in (2.0, 40 * WIDTH * 4e-9 * 20, 1e-9):
        model.pair_memory_gb = memory
        with torch.set_grad_enabled(training):
            found = scores(model, images, texts)
            gradients = of(found.square().sum(), model) if training else {}
        results.append((found.detach(), gradients))
    (first, expected), *others = results
    for found, gradients in others:
        torch.testing.assert_close(found, first, rtol=0, atol=1e-6)
        for name, gradient in expected.items():
            torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("direction", ["i2t", "t2i"])
def test_evaluation_scores_in_chunks_too(direction, monkeypatch):
    model, (images, texts) = build(direction).float(), batches()
    images = images.each(lambda t: t.float() if t.is_floating_point() else t)
    with torch.no_grad():
        encoded = Embeddings(model.encode_images(images), model.encode_texts(texts))
        expected = scores(model, images, texts).numpy()
    for rows, columns in ((32, 1000), (2, 3)):
        monkeypatch.setattr(encode, "PAIR_ROWS", rows)
        monkeypatch.setattr(encode, "PAIR_COLUMNS", columns)
        np.testing.assert_allclose(encoded.scores(model), expected, rtol=0, atol=1e-6)


def test_padding_changes_nothing():
    model, (images, texts) = build("i2t").train(), batches()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    start = {k: v.clone() for k, v in model.state_dict().items()}
    first = scores(model, images, texts)
    statistics = {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict(start)
    wider = replace(texts, ids=torch.nn.functional.pad(texts.ids, (0, 5)))
    second = scores(model, images.widened(11), wider)
    torch.testing.assert_close(first, second)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, statistics[name])


def test_a_graph_starts_as_the_identity():
    config = ModelConfig(family="cmsei", img_dim=12, embed_size=WIDTH, segmentation=False)
    bert = BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    model = build_model(config, BertModel(bert)).double()
    images, texts = batches()
    rows = model.encode_images(images).rows
    plain_rows = model.image_encoder.projection(images.features) * images.mask[..., None]
    torch.testing.assert_close(rows, plain_rows)
    words = model.text_encoder.eval().words(texts) * texts.mask[..., None]
    torch.testing.assert_close(model.encode_texts(texts).rows, words)


def test_overlaps_agree():
    boxes = batches()[0].boxes
    found = iou(boxes)
    for i in range(IMAGES):
        expected = [[plain.overlap(a, b) for b in boxes[i].tolist()] for a in boxes[i].tolist()]
        np.testing.assert_allclose(found[i], expected, atol=1e-12)
        np.testing.assert_allclose(overlaps(boxes[i].numpy(), boxes[i].numpy()), expected,
                                   atol=1e-12)  # fmt: skip


@pytest.mark.parametrize("direction", ["i2t", pytest.param("t2i", marks=pytest.mark.slow)])
def test_two_processes_and_pieces_are_one(settings, world, tmp_path, direction):
    """Two processes, micro-batches and chunks give the loss and gradients of one in one piece."""
    config = ROOT / "configs" / "scenes_cmsei.yaml"
    plain_settings = [s for s in settings if not s.startswith("model.map_size")]
    found = []
    for number, (command, *extra) in enumerate((
        (("python",),),
        (TORCHRUN, "train.sync_batchnorm=true"),
        (("python",), "train.micro_batch=5", "eval.pair_memory_gb=0.001"),
    )):  # fmt: skip
        out = tmp_path / f"{number}.pth"
        words = [*plain_settings, f"run.out={tmp_path / 'run'}", f"model.direction={direction}"]
        words += ["train.clip=1e9", "train.sum_epochs=0", *extra]
        succeed(*command, "tests/gradients.py", out, config, *words)
        found.append(torch.load(out, weights_only=True))
    for other in found[1:]:
        differing = deviations(other, found[0])
        # A bias before a normalisation has a gradient of rounding errors alone.
        differing = {n: d for n, d in differing.items() if not n.endswith("residual.linear.bias")}
        print(f"{direction}, largest deviation: {max(differing.values()):.1e}")
        assert max(differing.values()) < LARGEST, max(differing, key=differing.get)


@pytest.fixture(scope="module")
def trained(settings, tmp_path_factory):
    """Both versions, two epochs by the command line."""
    folder = tmp_path_factory.mktemp("cmsei")
    for direction in ("i2t", "t2i"):
        succeed(*TRAIN, *settings, f"run.out={folder / direction}", f"model.direction={direction}")
    return folder


def test_runs_evaluate_and_their_mean_is_the_model(trained, world):
    for direction in ("i2t", "t2i"):
        run = trained / direction
        printed = succeed(
            *EVAL, run / "model_best.pth", "--data_path", world, "--dataset", "scenes",
            "--workers", 0, "--save_results", run / "results.npz", "--json", run / "results.json",
        )  # fmt: skip
        assert f"CMSEI {'I-T' if direction == 'i2t' else 'T-I'} region on scenes" in printed
    files = [trained / direction / "results.npz" for direction in ("i2t", "t2i")]
    out = trained / "both" / "results.json"
    printed = succeed("python", "eval_ensemble.py", *files, "--json", out)
    assert "ensemble of 2" in printed
    printed = succeed("python", "scripts/results_table.py", *(f.parent for f in files), out.parent)
    for title in ("CMSEI I-T", "CMSEI T-I", "CMSEI"):
        assert f"| {title} | region |" in printed
    checkpoint = load_checkpoint(trained / "i2t" / "model_best.pth")
    with np.load(files[0]) as saved:
        matrix = saved["scores"]
    assert matrix.shape == (10, 50)
    args = eval_script.parse([
        "--checkpoint", str(trained / "i2t" / "model_best.pth"), "--data_path", str(world),
        "--dataset", "scenes", "--workers", "0", "--pair_memory_gb", "0.0001",
    ])  # fmt: skip
    again = score_checkpoint(args.checkpoint, args, None, None)
    np.testing.assert_allclose(again.scores, matrix, atol=1e-6)
    assert checkpoint.config.model.title == "CMSEI I-T"


@pytest.mark.slow
def test_a_run_resumes(trained, settings, tmp_path):
    out = tmp_path / "run"
    succeed(*TRAIN, *settings, f"run.out={out}", "train.epochs=1")
    succeed(*TRAIN, *settings, f"run.out={out}", "--resume")
    one, other = (load_checkpoint(run / "checkpoint.pth") for run in (out, trained / "i2t"))
    for name, value in one.model.items():
        assert torch.equal(value, other.model[name]), name


def test_what_has_no_vectors_says_so(trained, world, tmp_path):
    best = trained / "i2t" / "model_best.pth"
    error = fail(*EVAL, best, "--data_path", world, "--dataset", "scenes",
                 "--save_embeddings", tmp_path / "e.npz")  # fmt: skip
    assert "scores pairs" in error
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="no place for CMSEI"):
        save_released(tmp_path / "r.pth", load_checkpoint(best))


@pytest.mark.parametrize(("stem", "graph"), [("ims_bbx", "spatial"), ("rels", "semantic")])
def test_missing_or_misshapen_graphs_are_refused(settings, world, tmp_path, stem, graph):
    root = tmp_path / "data"
    shutil.copytree(world, root)
    path = root / "scenes_precomp" / f"train_{stem}.npy"
    plain_settings = [*settings, f"data.root={root}", f"run.out={tmp_path / 'run'}"]
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
    assert f"train_{stem}.npy: no such file, which the {graph} graph needs" in error
    assert not (tmp_path / "run").exists()
    config = load_config(
        ROOT / "configs/scenes_cmsei.yaml", [*plain_settings, f"model.use_{graph}_graph=false"]
    )
    split = open_split(config, "train")
    assert (split.boxes is None, split.relations is None) == (stem == "ims_bbx", stem == "rels")


def test_cells_of_a_grid_have_no_boxes(settings):
    words = [*settings, "features.type=grid", "features.folder=grids"]
    with pytest.raises(InputError, match="is grid; use region, or switch both"):
        load_config(ROOT / "configs/scenes_cmsei.yaml", words)


def test_dropped_regions_take_their_edges_along(settings, world):
    config = load_config(ROOT / "configs/scenes_cmsei.yaml", [*settings, "features.drop=0.5"])
    split = open_split(config, "train")
    generator = np.random.default_rng(5)
    items = [training_item(split, image, config.features, generator) for image in (3, 4)]
    batch = collate_images(items)
    for row, image in enumerate((3, 4)):
        whole = split.features[image]
        k = int(batch.lengths[row])
        kept = [int(np.flatnonzero((whole == r).all(axis=1))[0])
                for r in batch.features[row, :k].numpy()]  # fmt: skip
        assert 0 < k < len(whole)
        np.testing.assert_array_equal(batch.boxes[row, :k], split.boxes[image][kept])
        relations = split.relations[image][np.ix_(kept, kept)]
        np.testing.assert_array_equal(batch.relations[row, :k, :k], relations)
        assert not batch.relations[row, k:].any() and not batch.relations[row, :, k:].any()


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
    succeed(*command, "--min_score", "0.95")
    assert not np.load(folder / "test_rels.npy").any()
    before = (folder / "test_rels.npy").read_bytes()
    for broken, message in (
        ('{"image_id": 1}', "is no scene graph"),
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
