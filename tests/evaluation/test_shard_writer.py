"""Shards written by several processes make one folder, and nothing that was there is lost."""

import json

import numpy as np
import pytest

from lib.errors import InputError
from lib.evaluation.embedding_shards import KIND, EmbeddingShards, is_shards
from lib.evaluation.records import Origin
from lib.evaluation.shard_writer import ShardWriter
from tests.evaluation.shards import ABOUT, some, write_shards


def files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_processes_in_any_order_write_the_same(tmp_path):
    images, captions, ids = some()
    alone = files(write_shards(tmp_path / "alone", images, ids, captions).path)
    writers = [ShardWriter(tmp_path / "e", ids, ABOUT, {"key": "x"}, "float16", 4) for _ in "abc"]
    for rank in (2, 0, 1):
        for shard in writers[rank].shards[rank::3]:
            assert writers[rank].merge() is None
            assert not writers[0].is_done(shard)
            rows = slice(5 * shard.start, 5 * shard.stop)
            writers[rank].write(shard, images[shard.start : shard.stop], captions[rows])
            assert writers[0].is_done(shard)
    assert is_shards(tmp_path / "e")
    with pytest.raises(InputError, match=r"its shards are not all there; eval\.py"):
        EmbeddingShards(tmp_path / "e")
    assert writers[1].merge() is not None
    assert writers[2].merge() is None  # another has just merged them
    assert files(tmp_path / "e") == alone


def test_a_damaged_shard_is_made_anew(tmp_path):
    images, captions, ids = some(8)
    writer = ShardWriter(tmp_path / "e", ids, ABOUT, {}, "float16", 4)
    for shard in writer.shards:
        rows = slice(5 * shard.start, 5 * shard.stop)
        writer.write(shard, images[shard.start : shard.stop], captions[rows])
    path = tmp_path / "e" / "0000000004-0000000007.captions.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match="differs from its checksum, and its shard will be made"):
        writer.merge()
    assert [writer.is_done(shard) for shard in writer.shards] == [True, False]
    writer.write(writer.shards[1], images[4:], captions[20:])
    assert writer.merge().damaged(1) is None


def test_only_the_same_evaluation_is_replaced(tmp_path):
    images, captions, ids = some(8)
    write_shards(tmp_path / "e", images, ids, captions)
    before = files(tmp_path / "e")
    with pytest.raises(InputError, match=r"holds finished embeddings of another key; remove"):
        ShardWriter(tmp_path / "e", ids, ABOUT, {"key": "y"}, "float16", 4)
    with pytest.raises(InputError, match=r"holds finished embeddings of another dtype; remove"):
        ShardWriter(tmp_path / "e", ids, ABOUT, {"key": "x"}, "float32", 4)
    assert files(tmp_path / "e") == before
    other = ("scenes", "test", Origin("b.pth"))
    with pytest.raises(InputError, match=r"holds results of a\.pth"):
        ShardWriter(tmp_path / "e", ids, other, {}, "float16", 4)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "0000000000-0000000003.json").write_text("precious")
    with pytest.raises(InputError, match="is there and holds no results"):
        ShardWriter(tmp_path / "mine", ids, ABOUT, {}, "float16", 4)
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "manifest.json").write_text('{"name": "a page of mine"}')
    with pytest.raises(InputError, match="is there and holds no results; choose another name"):
        ShardWriter(tmp_path / "page", ids, ABOUT, {}, "float16", 4)
    for text in ("{", json.dumps({"kind": KIND})):
        (tmp_path / "e" / "manifest.json").write_text(text)
        with pytest.raises(InputError, match="its manifest is damaged, or of another version"):
            ShardWriter(tmp_path / "e", ids, ABOUT, {}, "float16", 4)
    (tmp_path / "file").write_text("precious")
    with pytest.raises(InputError, match="is a file, expected a folder"):
        ShardWriter(tmp_path / "file", ids, ABOUT, {}, "float16", 4)
    assert (tmp_path / "mine" / "0000000000-0000000003.json").read_text() == "precious"


def test_an_unfinished_folder_of_other_settings_stays(tmp_path):
    """Shards take hours, and a slip in an option is no reason to begin again."""
    images, captions, ids = some(8)
    first = ShardWriter(tmp_path / "e", ids, ABOUT, {"key": "x"}, "float16", 4)
    (tmp_path / "e" / "notes.txt").write_text("mine")
    first.write(first.shards[0], images[:4], captions[:20])
    with pytest.raises(InputError, match=r"holds unfinished embeddings of another key; remove"):
        ShardWriter(tmp_path / "e", ids, ABOUT, {"key": "y"}, "float16", 4)
    first.write(first.shards[1], images[4:], captions[20:])
    found = first.merge()
    np.testing.assert_array_equal(found.images[:], images.astype(np.float16))
    assert (tmp_path / "e" / "notes.txt").read_text() == "mine"


def test_killed_before_its_first_shard(tmp_path):
    """Whatever was written by then: the next one begins."""
    images, captions, ids = some(8)
    for name in ("ids.txt", "unfinished.json"):
        folder = tmp_path / name
        ShardWriter(folder, ids, ABOUT, {"key": "x"}, "float16", 4)
        if name == "ids.txt":
            (folder / name).unlink()
        assert len(write_shards(folder, images, ids, captions).ids) == 8


def test_what_is_finished_is_kept(tmp_path):
    images, captions, ids = some(8)
    found = write_shards(tmp_path / "e", images, ids, captions)
    writer = ShardWriter(tmp_path / "e", ids, ABOUT, {"key": "x"}, "float16", 4)
    assert writer.was_finished
    assert all(writer.is_done(shard) for shard in writer.shards)
    assert EmbeddingShards(tmp_path / "e").checksum == found.checksum


def test_broken_vectors_are_refused(tmp_path):
    images, captions, ids = some(4)
    writer = ShardWriter(tmp_path / "e", ids, ABOUT, {}, "float16", 4)
    with pytest.raises(InputError, match="are NaN or infinite as float16"):
        writer.write(writer.shards[0], images * np.float32(1e5), captions)
    assert not writer.is_done(writer.shards[0])
