"""A gallery ranks as evaluation does, and explains the pair that it is asked for."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from lib.checkpoint import checkpoint_of, load_checkpoint
from lib.display.app import build_app
from lib.display.gallery import Gallery
from lib.errors import InputError
from lib.evaluation.encode_shards import Keep, Unscored
from lib.evaluation.evaluator import score_checkpoint
from lib.evaluation.index_folder import FOLDER, MANIFEST
from lib.evaluation.opened import FeatureChoice, Target
from lib.evaluation.products import matrix_of
from lib.released_checkpoint import save_released


@pytest.mark.parametrize("number", [0, 1], ids=["vectors", "pairs"])
def test_scores_are_those_of_evaluation(galleries, number):
    gallery = galleries[number]
    path = str(checkpoint_of(gallery.run))
    scores = matrix_of(score_checkpoint(path, gallery.target, FeatureChoice()).scores)
    for caption in (0, 17):
        found = gallery.search(gallery.split.captions[caption])
        np.testing.assert_allclose(found, scores[:, caption], atol=1e-5)
    for image in (0, 7):
        np.testing.assert_allclose(gallery.sentences(image), scores[image], atol=1e-5)
        assert [gallery.split.captions[i] for i in gallery.own(image)] == (
            gallery.split.captions[5 * image : 5 * image + 5]
        )
        shown = gallery.explain(image, gallery.split.captions[17], (224, 224))
        assert shown.score == pytest.approx(scores[image, 17], abs=1e-5)
        assert len(shown.pieces) == len(gallery.sentence(gallery.split.captions[17]).ids[0])
        assert shown.boxes.shape == (6, 4)


def test_a_released_file_has_a_gallery_too(galleries, world, tmp_path):
    ours, bert = galleries[0], str(world / "scenes_precomp" / "bert")
    checkpoint = load_checkpoint(checkpoint_of(ours.run))
    save_released(tmp_path / "released.pth", checkpoint)
    target, told = replace(ours.target, locations={"bert": bert}), []
    theirs = Gallery(tmp_path / "released.pth", target, FeatureChoice(), say=told.append)
    assert told[0].startswith("note: ")
    assert (tmp_path / "explorer" / "scenes-test.safetensors").is_file()
    query = ours.split.captions[8]
    np.testing.assert_allclose(theirs.search(query), ours.search(query), atol=1e-5)
    found = theirs.explain(1, query, None).maps.regions["VSeM: agreement"]
    torch.testing.assert_close(found, ours.explain(1, query, None).maps.regions["VSeM: agreement"])


def test_a_gallery_is_encoded_once(galleries, monkeypatch, tmp_path):
    """Encodings are taken from the file where checkpoint and split are the same, and only there."""
    for gallery in galleries:
        keep, told = tmp_path / gallery.run.name, []
        about = (gallery.run, gallery.target, FeatureChoice(), keep, told.append)
        first, second = Gallery(*about), Gallery(*about)
        assert "encoded in" in told[0]
        assert "encodings from" in told[1]
        query = gallery.split.captions[3]
        np.testing.assert_allclose(first.search(query), second.search(query), atol=1e-6)
    (file,) = keep.rglob("*.safetensors")
    other = tmp_path / "other"
    shutil.copytree(gallery.run, other)
    content = torch.load(other / "model_best.pth", weights_only=True)
    content["progress"]["best_rsum"] = 1.0
    torch.save(content, other / "model_best.pth")
    Gallery(other, *about[1:])  # beside each other: another checkpoint
    assert "encoded in" in told[2]
    assert len(list(keep.rglob("*.safetensors"))) == 2
    beside = [other, *about[1:3], None, told.append]
    Gallery(*beside)
    content["progress"]["best_rsum"] = 2.0
    torch.save(content, other / "model_best.pth")
    Gallery(*beside)
    assert "encoded in" in told[4]
    assert [path.name for path in (other / "explorer").iterdir()] == ["scenes-test.safetensors"]
    file.write_text("mine")
    with pytest.raises(InputError, match="holds no encodings of a gallery"):
        Gallery(*about)
    assert file.read_text() == "mine"


def test_what_changed_on_the_disk_is_encoded_again(shown_runs, world, tmp_path):
    """Fingerprints are of a sample of the entries: times of change tell of the others."""
    shutil.copytree(world / "scenes_precomp", tmp_path / "scenes_precomp")
    target, told = Target(str(tmp_path), "scenes", "test", device="cpu", workers=0), []
    about = (shown_runs[0], target, FeatureChoice(), tmp_path / "keep", told.append)
    Gallery(*about)
    for count, name in enumerate(("ims", "seg_maps"), 1):
        os.utime(tmp_path / "scenes_precomp" / f"test_{name}.npy", (1, 1))
        Gallery(*about)
        assert "encoded in" in told[count]
    Gallery(*about)
    assert "encodings from" in told[3]


def test_pictures_alone(galleries, world, tmp_path):
    gallery = galleries[0]
    folder = tmp_path / "data" / "scenes_precomp"
    shutil.copytree(world / "scenes_precomp", folder)
    (folder / "test_caps.txt").unlink()
    target = replace(gallery.target, data_path=str(folder.parent))
    path, keep = str(checkpoint_of(gallery.run)), Keep(tmp_path / "e", pictures_alone=True)
    with pytest.raises(Unscored):
        score_checkpoint(path, target, FeatureChoice(), keep=keep)
    found = Gallery(gallery.run, target, FeatureChoice(), None, print, keep.folder)
    query = gallery.split.captions[3]
    assert [i for i, _ in found.best(query, 4)] == [i for i, _ in gallery.best(query, 4)]
    assert len(found.sentences(2)) == len(found.own(2)) == 0
    client = TestClient(build_app([found], None, ("testserver",)))
    (run,) = client.get("/runs").json()
    assert (run["pictures"], run["sentences"], run["examples"]) == (10, 0, [])
    shown = client.get(f"/picture/{found.split.image_ids[2]}").json()
    assert shown["sentences"] == shown["own"] == []
    assert found.explain(2, query, None).score == gallery.explain(2, query, None).score
    with pytest.raises(InputError, match=r"test_caps\.txt: no such file"):
        Gallery(gallery.run, target, FeatureChoice(), tmp_path / "keep")


def test_what_is_no_run(tmp_path, galleries):
    with pytest.raises(InputError, match="no such run or checkpoint"):
        checkpoint_of(tmp_path / "none")
    with pytest.raises(InputError, match=r"holds no model_best\.pth"):
        checkpoint_of(tmp_path)
    target = replace(galleries[0].target, split="holiday")
    with pytest.raises(InputError, match="holiday_caps"):
        Gallery(galleries[0].run, target, FeatureChoice(), tmp_path / "keep")
    assert not (tmp_path / "keep").exists()


def test_embeddings_in_shards_stand_for_encodings(galleries, tmp_path):
    gallery, told = galleries[0], []
    path = str(checkpoint_of(gallery.run))
    keep = Keep(tmp_path / "e")
    score_checkpoint(path, gallery.target, FeatureChoice(), keep=keep)
    about = (gallery.run, gallery.target, FeatureChoice(), tmp_path / "keep", told.append)
    sharded = Gallery(*about, keep.folder)
    assert told[-1].endswith(f"10 vectors of {keep.folder}, compared one by one")
    assert not (tmp_path / "keep").exists()  # nothing was encoded
    query = gallery.split.captions[3]
    assert [i for i, _ in sharded.best(query, 4)] == [i for i, _ in gallery.best(query, 4)]
    np.testing.assert_allclose(sharded.sentences(2), gallery.sentences(2), atol=1e-3)
    np.testing.assert_allclose(sharded.search(query), gallery.search(query), atol=1e-3)
    np.testing.assert_allclose(sharded.scores(), gallery.scores(), atol=1e-3)
    (keep.folder / FOLDER).mkdir()
    (keep.folder / FOLDER / MANIFEST).write_text("{}")
    with pytest.raises(InputError, match="is no manifest of an index"):
        Gallery(*about, keep.folder)
    Gallery(*about, keep.folder, exact=True)  # the index is not read
    other = replace(gallery.target, precision="bf16")
    with pytest.raises(InputError, match=r"of another checkpoint, .* \(its precision differ\)"):
        Gallery(gallery.run, other, FeatureChoice(), None, told.append, keep.folder)
