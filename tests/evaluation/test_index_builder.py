"""How an index is built: in parts, by whom, of what, and not over another's."""

import json
import shutil
from types import SimpleNamespace

import faiss
import numpy as np
import pytest

from lib.errors import InputError
from lib.evaluation.embedding_shards import EmbeddingShards
from lib.evaluation.index_builder import Shape, build_index, default_lists
from lib.evaluation.index_folder import FOLDER, MANIFEST
from lib.evaluation.vectors import How, Vectors
from lib.share import Share
from scripts import build_index as program
from tests.evaluation.indexed import SHAPE, VECTORS, copied
from tests.evaluation.shards import write_shards
from tests.test_outputs import holder

pytestmark = pytest.mark.usefixtures("quickly")


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
    assert "9 of 17 shards are not added yet" in told[-1]
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


def test_damaged_embeddings_are_not_indexed(gallery, tmp_path):
    shards = copied(gallery, tmp_path / "e")
    path = shards.images.paths[3]
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(InputError, match="differs from its checksum"):
        build_index(shards, SHAPE, say=lambda _: None)


def test_a_disk_without_room_is_told(gallery, tmp_path, monkeypatch):
    """The lists would be a file with holes, whose first page without room ends the process."""
    shards = copied(gallery, tmp_path / "e")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match=r"the merged index needs 0\.0 GB, the disk has 0\.0"):
        build_index(shards, SHAPE, say=lambda _: None)


def test_too_few_vectors(tmp_path):
    write_shards(tmp_path / "e", np.ones((9, 8), np.float16), list("abcdefghi"))
    with pytest.raises(SystemExit, match="holds 9 vectors, which are searched faster without"):
        program.main([str(tmp_path / "e")])
    with pytest.raises(SystemExit, match=r"is no folder of embeddings, it holds no manifest.json"):
        program.main([str(tmp_path)])


def test_lists_grow_with_the_root():
    assert [default_lists(n) for n in (10_000, 100_000, 10**6, 10**7)] == [128, 256, 1024, 4096]
