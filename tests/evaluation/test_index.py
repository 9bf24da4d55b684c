"""An index: what it finds beside brute force, how it is built in parts, and whose it is."""

import json
import shutil

import faiss
import numpy as np
import pytest

from lib.errors import InputError
from lib.evaluation import index
from lib.evaluation.embedding_shards import EmbeddingShards
from lib.evaluation.index import FOLDER, MANIFEST, Shape, VectorIndex, build_index, default_lists
from lib.evaluation.vectors import How, Vectors, brute_force
from lib.share import Share
from scripts import build_index as program
from tests.evaluation.shards import write_shards
from tests.test_outputs import holder

SHAPE = Shape(lists=16, code=4)
VECTORS, WIDTH = 10_000, 8


@pytest.fixture(scope="module", autouse=True)
def quickly():
    """One round of OPQ's training is as good as ten to tell what is built of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "ROTATIONS", 1)
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)  # small products wait longer for threads than for sums
        yield
        faiss.omp_set_num_threads(threads)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """Vectors around some centres, in 16 shards, and queries near them."""
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((50, WIDTH))
    rows = centres[generator.integers(0, 50, VECTORS)]
    rows = rows + 0.3 * generator.standard_normal(rows.shape)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    folder = tmp_path_factory.mktemp("gallery") / "e"
    write_shards(folder, rows, [f"{i:05}" for i in range(VECTORS)])
    queries = centres[:20] + 0.1 * generator.standard_normal((20, WIDTH))
    return folder, queries.astype(np.float32)


@pytest.fixture(scope="module")
def built(gallery):
    told = []
    assert build_index(EmbeddingShards(gallery[0]), SHAPE, say=told.append)
    assert "trained OPQ4_8,IVF16,PQ4np" in told[0]
    assert "10,000 vectors in 16 lists" in told[-1]
    return gallery[0] / FOLDER


def copied(gallery, folder):
    return EmbeddingShards(shutil.copytree(gallery[0], folder, ignore=lambda *_: [FOLDER]))


def test_the_best_of_all_lists_are_the_exact_ones(gallery, built):
    shards, queries = EmbeddingShards(gallery[0]), gallery[1]
    exact = brute_force(shards.images, queries, 10)
    scores, numbers = VectorIndex(shards, 16, VECTORS).search(queries, 10)
    np.testing.assert_allclose(scores, exact[0], atol=1e-6)
    assert np.array_equal(numbers, exact[1])
    _, few = VectorIndex(shards, 2, 100).search(queries, 10)
    hits = sum(len(np.intersect1d(a, b)) for a, b in zip(few, exact[1], strict=True))
    assert 100 < hits <= 200
    assert (VectorIndex(shards, 1, 20).search(queries, VECTORS)[1] == -1).any()


def test_it_is_used_where_it_is(gallery, built):
    folder, queries = gallery
    with_index, exact = Vectors(folder, How(probes=8)), Vectors(folder, How(exact=True))
    assert "by their index (8 of 16 lists, the best 1,000 scored exactly)" in with_index.told
    assert "compared one by one" in exact.told
    assert with_index.search(queries, 1)[1].shape == (20, 1)


def test_nothing_is_printed_by_faiss(gallery, built, capfd, tmp_path):
    moved = shutil.copytree(gallery[0], tmp_path / "moved")
    assert Vectors(moved).index is not None
    assert capfd.readouterr() == ("", "")


def test_what_another_launch_is_building_stays(gallery, built, tmp_path):
    shards = copied(gallery, tmp_path / "e")
    shutil.copytree(built, shards.path / FOLDER)
    with holder(shards.path / FOLDER, "building-1-of-2") as other:
        before = sorted(path.name for path in (shards.path / FOLDER).iterdir())
        with pytest.raises(InputError, match=r"one of 2, is still working on the same files"):
            build_index(shards, Shape(lists=32, code=4), overwrite=True)
        assert sorted(path.name for path in (shards.path / FOLDER).iterdir()) == before
        other.kill()


def test_processes_build_the_same(gallery, built, tmp_path):
    """Two add their shards, one after the other; who comes last merges."""
    shards, told = copied(gallery, tmp_path / "e"), []
    assert not build_index(shards, SHAPE, Share(1, 2), say=told.append)
    assert "process 2 of 2: " in told[0]
    assert "8 of 16 shards are not added yet" in told[-1]
    assert build_index(shards, SHAPE, Share(0, 2), say=told.append)
    for name in ("index.faiss", "index.ivfdata", MANIFEST):
        found = (tmp_path / "e" / FOLDER / name).read_bytes()
        if name == MANIFEST:
            assert json.loads(found)["embeddings"] == shards.checksum
        elif name == "index.ivfdata":
            assert found == (built / name).read_bytes()
    left = {path.name for path in (tmp_path / "e" / FOLDER).iterdir()}
    assert left == {"index.faiss", "index.ivfdata", MANIFEST}


def test_an_index_of_other_embeddings_is_refused(gallery, built, tmp_path):
    moved = shutil.copytree(gallery[0], tmp_path / "e")
    rows = np.asarray(EmbeddingShards(moved).images[:])[::-1].copy()
    shutil.move(moved / FOLDER, tmp_path / "kept")
    shutil.rmtree(moved)
    shards = write_shards(moved, rows, [f"{i:05}" for i in range(VECTORS)], key="other")
    shutil.move(tmp_path / "kept", moved / FOLDER)
    with pytest.raises(InputError, match="is an index of other embeddings"):
        Vectors(moved)
    assert Vectors(moved, How(exact=True)).index is None
    with pytest.raises(InputError, match=r"is of another index .* --overwrite replaces it"):
        build_index(shards, SHAPE)
    assert build_index(shards, SHAPE, overwrite=True, say=lambda _: None)
    assert Vectors(moved).index is not None


@pytest.mark.parametrize("code", [0, 9, 300])
def test_codes_that_cannot_be(gallery, code):
    with pytest.raises(SystemExit):
        program.main([str(gallery[0]), "--lists", "16", "--code", str(code)])


@pytest.mark.parametrize(("width", "code"), [(1024, 48), (1024, 64), (512, 100), (100, 64), (8, 4)])
def test_every_code_has_an_index(width, code):
    faiss.index_factory(width, Shape(16, code).factory(width), faiss.METRIC_INNER_PRODUCT)


@pytest.mark.parametrize("name", ["index.faiss", "index.ivfdata"])
def test_a_file_that_was_cut_short_is_refused(gallery, built, tmp_path, name):
    moved = shutil.copytree(gallery[0], tmp_path / "e")
    path = moved / FOLDER / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="missing, or cut short"):
        Vectors(moved)


def test_damaged_embeddings_are_not_indexed(gallery, tmp_path):
    shards = copied(gallery, tmp_path / "e")
    path = shards.images.paths[3]
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(InputError, match="differs from its checksum"):
        build_index(shards, SHAPE, say=lambda _: None)


def test_too_few_vectors(tmp_path):
    write_shards(tmp_path / "e", np.ones((9, 8), np.float16), list("abcdefghi"))
    with pytest.raises(SystemExit, match="holds 9 vectors, which are searched faster without"):
        program.main([str(tmp_path / "e")])
    with pytest.raises(SystemExit, match=r"is no folder of embeddings, it holds no manifest.json"):
        program.main([str(tmp_path)])


def test_lists_grow_with_the_root():
    assert [default_lists(n) for n in (10_000, 100_000, 10**6, 10**7)] == [128, 256, 1024, 4096]
