"""A folder of embeddings is whole, or refused."""

import json
import shutil

import numpy as np
import pytest

from lib.errors import InputError
from lib.evaluation.embedding_shards import EmbeddingShards
from tests.evaluation.shards import some, write_shards


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


def test_a_gallery_without_captions(tmp_path):
    images, _, ids = some()
    found = write_shards(tmp_path / "e", images, ids)
    assert found.captions is None
    assert found.damaged(0) is None
    shutil.copytree(tmp_path / "e", tmp_path / "moved")
    assert EmbeddingShards(tmp_path / "moved").checksum == found.checksum
