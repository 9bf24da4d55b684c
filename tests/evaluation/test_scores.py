"""Score matrices of result files, ours and the release's: read in chunks, and never run."""

import json
import zlib

import numpy as np
import pytest
from safetensors.numpy import save_file

from lib.errors import InputError
from lib.evaluation.ensemble import mean_scores
from lib.evaluation.protocols import evaluate
from lib.evaluation.records import Origin
from lib.evaluation.scores import (
    ABOUT,
    SavedScores,
    crc_of,
    read_embeddings,
    read_metadata,
    save_results,
)
from tests.support import noisy_scores as scores
from tests.support import released_scores as released
from tests.support import write_embeddings
from tests.support import write_scores as write

N = 10


def test_reading_in_chunks_is_reading(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.evaluation.metrics.CHUNK_ROWS", 4)
    monkeypatch.setattr("lib.evaluation.ensemble.CHUNK_ROWS", 3)
    file = SavedScores(write(tmp_path / "a.safetensors", 1, "coco", "testall"))
    matrix = scores(1)
    np.testing.assert_array_equal(file[:], matrix)
    np.testing.assert_array_equal(file[2:9], matrix[2:9])
    np.testing.assert_array_equal(file[4:40], matrix[4:40])
    np.testing.assert_array_equal(file[1:6, 10:25], matrix[1:6, 10:25])
    assert evaluate(file, "coco", "testall") == evaluate(matrix, "coco", "testall")
    other = SavedScores(write(tmp_path / "b.safetensors", 2, "coco", "testall"))
    np.testing.assert_allclose(
        mean_scores([file, other], [0.3, 0.7]), 0.3 * matrix + 0.7 * scores(2), atol=1e-6
    )


def damaged(path, kind):
    whole = write(path.with_name("whole.safetensors")).read_bytes()
    if kind == "cut":
        path.write_bytes(whole[:-2000])
    elif kind == "text":
        path.write_text("<html>404</html>")
    elif kind == "embeddings":
        write_embeddings(path, np.zeros((3, 4)), np.zeros((15, 4)), ["1", "2", "3"])
    elif kind == "array":
        with path.open("wb") as file:
            np.save(file, scores(0))
    elif kind == "dict":
        released(path, {"sims": scores(0)})
    elif kind == "shape":
        released(path, {"npts": 3, "sims": np.zeros((3, 14))})
    elif kind == "integers":
        released(path, {"npts": 3, "sims": np.zeros((3, 15), int)})
    elif kind == "ids":
        write(path, ids=["1", "2"])
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("none", "No such file"),
        ("cut", "not a complete file"),
        ("text", "not a complete file"),
        ("embeddings", "not a result file"),
        ("array", "not a result file of the public release"),
        ("dict", "no dict of npts and sims"),
        ("shape", r"shape \(3, 14\)"),
        ("integers", "expected .* floats"),
        ("ids", "2 ids for 10 images"),
    ],
)
def test_files_that_are_no_good(tmp_path, kind, message):
    with pytest.raises(InputError, match=message):
        SavedScores(damaged(tmp_path / "bad.safetensors", kind))


def test_a_file_of_ours_must_hold_a_matrix(tmp_path):
    origin = Origin("a.pth")
    save_results(tmp_path / "a.safetensors", np.zeros((2, 9), np.float32), ["1", "2"], "f30k",
                 "test", origin)  # fmt: skip
    with pytest.raises(InputError, match=r"scores of shape \(2, 9\), F32, expected \(n, 5n\)"):
        SavedScores(tmp_path / "a.safetensors")


def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = write(tmp_path / "a.safetensors")
    before = path.read_bytes()

    def full(*_):
        raise RuntimeError("SafetensorError: No space left on device")

    monkeypatch.setattr("lib.evaluation.scores.save_file", full)
    with pytest.raises(InputError, match=r"cannot be written \(SafetensorError.*untouched"):
        write(path, 1)
    assert path.read_bytes() == before


def test_a_changed_value_is_noticed(tmp_path):
    path = write(tmp_path / "a.safetensors")
    whole = path.read_bytes()
    for place in (-1, -500, 200):  # scores, scores, metadata
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(bytes(changed))
        with pytest.raises(InputError, match=r"a\.safetensors: "):
            SavedScores(path)
    path.write_bytes(whole)
    about = read_metadata(path)
    assert about["image_ids"] == [str(i) for i in range(N)]
    with pytest.raises(InputError, match="no such file"):
        read_metadata(tmp_path / "none")


def test_embeddings_of_nan_are_refused(tmp_path):
    arrays = {"images": np.full((1, 2), np.nan, np.float32), "captions": np.zeros((5, 2), "f4")}
    about = {"image_ids": ["1"]}
    sums = {name: crc_of(array) for name, array in arrays.items()}
    sums["metadata"] = zlib.crc32(json.dumps(about, sort_keys=True).encode())
    save_file(arrays, tmp_path / "e", {ABOUT: json.dumps(about | {"crc32": sums})})
    with pytest.raises(InputError, match="holds NaN"):
        read_embeddings(tmp_path / "e")
