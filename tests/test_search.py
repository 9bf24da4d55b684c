"""python -m lib.evaluation.search on what eval.py saves."""

import sys

import numpy as np
import pytest

import eval as eval_script
from lib.config import load_config
from lib.data.captions import read_captions
from lib.errors import InputError
from lib.evaluation import search
from lib.evaluation.gallery import build, open_index
from lib.training.loop import Run
from tests.support import ROOT, succeed


@pytest.fixture(scope="module")
def saved(settings, world, tmp_path_factory):
    """A checkpoint, its embeddings, and the scores that eval.py made of them."""
    out = tmp_path_factory.mktemp("search") / "run"
    overrides = [*settings, f"run.out={out}", "train.epochs=1"]
    Run(load_config(ROOT / "configs/scenes_region.yaml", overrides), False, False).fit(["test"])
    words = ["--checkpoint", out / "model_best.pth", "--data_path", world, "--dataset", "scenes"]
    words += ["--workers", "0", "--device", "cpu", "--save_embeddings", out / "e.npz"]
    words += ["--save_results", out / "r.npz"]
    eval_script.run(eval_script.parse([str(word) for word in words]))
    return out


def command(saved, *flags):
    files = ("--checkpoint", saved / "model_best.pth", "--embeddings", saved / "e.npz")
    return [str(word) for word in (*files, "--device", "cpu", *flags)]


def refusal(*words):
    with pytest.raises(SystemExit) as left:
        search.main([str(word) for word in words])
    return left.value.code


def test_a_caption_finds_what_evaluation_finds(saved, world, capsys):
    captions = read_captions(world / "scenes_precomp" / "test_caps.txt")
    with np.load(saved / "r.npz") as results:
        scores, ids = results["scores"], results["image_ids"].tolist()
    queries = [7, 33, 2]  # of different lengths: they are batched by length, and come back in order
    search.main(command(saved, "-k", "4", "--query", *(captions[i] for i in queries)))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 * 5
    for position, query in enumerate(queries):
        title, *rows = lines[5 * position : 5 * position + 5]
        assert title == captions[query]
        order = np.argsort(-scores[:, query], kind="stable")[:4]
        assert [row.split()[2] for row in rows] == [ids[i] for i in order]
        assert [float(row.split()[1]) for row in rows] == pytest.approx(
            scores[order, query].tolist(), abs=6e-4
        )


def test_several_files_are_one_gallery(saved, tmp_path, capsys):
    with np.load(saved / "e.npz") as whole:
        images, ids = whole["images"], whole["image_ids"]
    for name, part in (("a", slice(6, None)), ("b", slice(6))):
        np.savez(tmp_path / f"{name}.npz", images=images[part], image_ids=ids[part])
    query = ["--device", "cpu", "-k", "10", "--query", "x"]
    both = ["--embeddings", str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]
    search.main(["--checkpoint", str(saved / "model_best.pth"), *both, *query])
    found = capsys.readouterr().out
    search.main(command(saved, *query[2:]))
    assert found == capsys.readouterr().out


def test_the_command(saved):
    words = command(saved, "--query", "a red kite over the sea")
    printed = succeed("python", "-m", "lib.evaluation.search", *words)
    assert printed.startswith("a red kite over the sea\n   1  ")
    assert len(printed.splitlines()) == 11  # ten pictures are all there are


def test_equal_scores_keep_their_order():
    assert search.top(np.array([0.5, 0.9, 0.5, 0.9, 0.1]), 4).tolist() == [1, 3, 0, 2]


def test_embeddings_that_do_not_suit(saved, tmp_path):
    query = ("--device", "cpu", "--query", "x")
    files = ("--checkpoint", saved / "model_best.pth", "--embeddings")
    assert "holds no embeddings" in refusal(*files, tmp_path / "none.npz", *query)
    assert "holds no embeddings" in refusal(*files, saved / "r.npz", *query)
    wide = {"images": np.zeros((2, 7), np.float32), "image_ids": np.array(["1", "2"])}
    np.savez(tmp_path / "wide.npz", **wide)
    assert "width 7, " in refusal(*files, tmp_path / "wide.npz", *query)
    np.savez(tmp_path / "odd.npz", **wide | {"image_ids": np.array(["1"])})
    assert "for 1 ids" in refusal(*files, tmp_path / "odd.npz", *query)
    for words in (("-k", "0", "--query", "x"), ("--query", " ")):
        with pytest.raises(SystemExit):
            search.main(command(saved, *words))


def test_an_index_finds_what_brute_force_finds(saved, tmp_path, capsys):
    queries = ("--query", "a red circle", "two things on the grass")
    search.main(command(saved, *queries))
    expected = capsys.readouterr().out
    index = tmp_path / "new" / "gallery.faiss"
    for _ in range(2):  # built, then read
        search.main(command(saved, *queries, "--index", index))
        assert capsys.readouterr().out == expected
    search.main(command(saved, *queries, "--index", index, "-k", "99"))  # more than there are
    assert len(capsys.readouterr().out.splitlines()) == 2 * 11


def test_an_index_of_other_embeddings_is_refused(saved, tmp_path):
    with np.load(saved / "e.npz") as whole:
        images, ids = whole["images"], whole["image_ids"]
    index = tmp_path / "gallery.faiss"
    open_index(index, images)
    changed = images.copy()
    changed[3, 5] += 1e-3
    np.savez(tmp_path / "e.npz", images=changed, image_ids=ids)
    words = ["--checkpoint", saved / "model_best.pth", "--embeddings", tmp_path / "e.npz"]
    error = refusal(*words, "--query", "a circle", "--index", index, "--device", "cpu")
    assert "is an index of other embeddings" in error
    assert "gallery.faiss.json" in error
    index.write_bytes(index.read_bytes()[:100])
    with pytest.raises(InputError, match="cannot be read as an index"):
        open_index(index, images)
    (tmp_path / "gallery.faiss.json").unlink()
    with pytest.raises(InputError, match="delete both"):
        open_index(index, images)


def test_the_approximate_index_finds_neighbours(tmp_path):
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((4000, 32), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[:200] + 0.05 * generator.standard_normal((200, 32), np.float32)
    _, exact = build(vectors, exact=True).search(queries, 1)
    _, found = build(vectors, exact=False).search(queries, 1)
    np.testing.assert_array_equal(exact[:, 0], (queries @ vectors.T).argmax(axis=1))
    assert np.mean(found == exact) > 0.95


def test_without_faiss_it_says_what_to_install(saved, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    error = refusal(*command(saved, "--query", "a circle", "--index", tmp_path / "g.faiss"))
    assert "pip install faiss-cpu" in error
