"""Shards: rows of files are rows of one array, a folder is whole or refused, nothing is lost."""

import json
import shutil

import numpy as np
import pytest

from lib.errors import InputError
from lib.evaluation import embedding_shards
from lib.evaluation.embedding_shards import EmbeddingShards, ShardWriter, is_shards
from lib.evaluation.records import Origin
from tests.evaluation.shards import ABOUT, some, write_shards


def files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_rows_of_files_are_rows_of_one_array(tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_shards, "OPEN", 2)  # fewer than there are
    images, captions, ids = some()
    found = write_shards(tmp_path / "e", images, ids, captions)
    assert len(found.shards) == 6
    half = images.astype(np.float16)
    for part in (slice(0, 21), slice(3, 4), slice(3, 9), slice(20, 30), slice(5, 5)):
        np.testing.assert_array_equal(found.images[part], half[part])
    np.testing.assert_array_equal(found.captions[:], captions.astype(np.float16))
    numbers = np.array([20, 0, 7, 7, 3])
    np.testing.assert_array_equal(found.images.take(numbers), half[numbers])
    assert found.image_ids == ids
    assert found.ids[20] == "020"
    assert found.captions.shape == (105, 6)
    assert (found.dataset, found.split, found.origin.checkpoint) == ("scenes", "test", "a.pth")


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


@pytest.mark.parametrize("name", ["0000000004-0000000007.images.npy", "ids.txt", "manifest.json"])
def test_what_was_changed_is_refused(tmp_path, name):
    images, captions, ids = some(8)
    found = write_shards(tmp_path / "e", images, ids, captions)
    path = tmp_path / "e" / name
    if name.endswith("npy"):
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(InputError, match=r"images.npy"):
            EmbeddingShards(tmp_path / "e")
        np.save(path, images[4:7].astype(np.float16))
        message = "holds float16 of shape"
    elif name == "ids.txt":
        path.write_text("".join(f"{one}x\n" for one in ids))
        message = "is not the one that was written"
    else:
        about = json.loads(path.read_text())
        about["shards"][0]["images"] = "0" * 64
        path.write_text(json.dumps(about))
        message = "its checksum is not that of its shards"
    with pytest.raises(InputError, match=message):
        EmbeddingShards(tmp_path / "e")
    assert found.damaged(0) is None


def test_contents_are_compared_when_asked(tmp_path):
    images, captions, ids = some(8)
    found = write_shards(tmp_path / "e", images, ids, captions)
    path = tmp_path / "e" / "0000000004-0000000007.images.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert "differs from its checksum in manifest.json" in found.damaged(1)


def test_only_the_same_evaluation_is_replaced(tmp_path):
    images, captions, ids = some(8)
    write_shards(tmp_path / "e", images, ids, captions)
    before = files(tmp_path / "e")
    with pytest.raises(InputError, match=r"holds finished embeddings of other key; remove"):
        ShardWriter(tmp_path / "e", ids, ABOUT, {"key": "y"}, "float16", 4)
    with pytest.raises(InputError, match=r"holds finished embeddings of other dtype; remove"):
        ShardWriter(tmp_path / "e", ids, ABOUT, {"key": "x"}, "float32", 4)
    assert files(tmp_path / "e") == before
    other = ("scenes", "test", Origin("b.pth"))
    with pytest.raises(InputError, match=r"holds results of a\.pth"):
        ShardWriter(tmp_path / "e", ids, other, {}, "float16", 4)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "0000000000-0000000003.json").write_text("precious")
    with pytest.raises(InputError, match="is there and holds no results"):
        ShardWriter(tmp_path / "mine", ids, ABOUT, {}, "float16", 4)
    (tmp_path / "file").write_text("precious")
    with pytest.raises(InputError, match="is a file, expected a folder"):
        ShardWriter(tmp_path / "file", ids, ABOUT, {}, "float16", 4)
    assert (tmp_path / "mine" / "0000000000-0000000003.json").read_text() == "precious"


def test_an_unfinished_folder_is_begun_again_and_files_of_others_stay(tmp_path):
    """By a process of other settings; the first goes on, and what it writes is none of the new."""
    images, captions, ids = some(8)
    first = ShardWriter(tmp_path / "e", ids, ABOUT, {"key": "x"}, "float16", 4)
    (tmp_path / "e" / "notes.txt").write_text("mine")
    first.write(first.shards[0], images[:4], captions[:20])
    second = ShardWriter(tmp_path / "e", ids, ABOUT, {"key": "y"}, "float16", 4)
    first.write(first.shards[1], images[4:], captions[20:])
    assert not any(second.is_done(shard) for shard in second.shards)
    for shard in second.shards:
        rows = slice(5 * shard.start, 5 * shard.stop)
        second.write(shard, -images[shard.start : shard.stop], captions[rows])
    found = second.merge()
    np.testing.assert_array_equal(found.images[:], -images.astype(np.float16))
    assert found.key["key"] == "y"
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


def test_a_gallery_without_captions(tmp_path):
    images, _, ids = some()
    found = write_shards(tmp_path / "e", images, ids)
    assert found.captions is None
    assert found.damaged(0) is None
    shutil.copytree(tmp_path / "e", tmp_path / "moved")
    assert EmbeddingShards(tmp_path / "moved").checksum == found.checksum
