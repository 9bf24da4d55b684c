"""eval_ensemble.py on saved embeddings, files or folders: the same figures as on saved scores."""

import json

import numpy as np
import pytest

import eval_ensemble
from lib.errors import InputError
from lib.evaluation.products import matrix_of
from lib.evaluation.saved_embeddings import SavedEmbeddings, open_member
from lib.evaluation.scores import SavedScores, save_results
from tests.evaluation.shards import ABOUT, some, write_shards
from tests.support import write_embeddings


def test_embeddings_are_as_good_as_scores(tmp_path, capsys):
    images, captions, ids = some(10)
    others = some(10)[0][::-1].astype(np.float16), captions
    write_embeddings(tmp_path / "a.safetensors", images, captions, ids)
    write_shards(tmp_path / "b", others[0], ids, others[1])
    members = [open_member(tmp_path / name) for name in ("a.safetensors", "b")]
    assert all(isinstance(member, SavedEmbeddings) for member in members)
    assert [m.dataset for m in members] == ["scenes", "scenes"]
    for name, member in zip(("ra", "rb"), members, strict=True):
        dataset, split, origin = ABOUT
        path = tmp_path / f"{name}.safetensors"
        save_results(path, matrix_of(member), ids, dataset, split, origin)
        assert isinstance(open_member(path), SavedScores)
    found = []
    for words in (
        ["a.safetensors", "b"],
        ["ra.safetensors", "b"],
        ["ra.safetensors", "rb.safetensors"],
    ):
        record = tmp_path / f"{len(found)}.json"
        paths = [str(tmp_path / word) for word in words]
        eval_ensemble.main([*paths, "--weights", "0.7", "0.3", "--json", str(record)])
        written = json.loads(record.read_text())
        found.append((written["results"], [m["results"] for m in written["members"]]))
    assert found[0] == found[1] == found[2]
    assert "ensemble of 2 on scenes, 10 images" in capsys.readouterr().out


def test_damaged_vectors_have_no_scores(tmp_path):
    images, captions, ids = some(10)
    write_shards(tmp_path / "b", images, ids, captions)
    path = tmp_path / "b" / "0000000004-0000000007.captions.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match=r"captions\.npy: differs from its checksum"):
        open_member(tmp_path / "b")


def test_a_gallery_has_no_scores(tmp_path):
    images, _, ids = some(10)
    write_shards(tmp_path / "b", images, ids)
    with pytest.raises(InputError, match="holds no captions, and so no scores"):
        open_member(tmp_path / "b")


@pytest.mark.parametrize("name", ["nothing", "folder", "text"])
def test_what_is_neither(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("precious")
    with pytest.raises(InputError, match=rf"{name}: (cannot be read|is a folder without|is not a)"):
        open_member(tmp_path / name)
