"""Score matrices of result files, ours and the release's: read in chunks, and never run."""

import numpy as np
import pytest

from lib.errors import InputError
from lib.evaluation.ensemble import mean_scores
from lib.evaluation.protocols import evaluate
from lib.evaluation.scores import SavedScores, save_embeddings
from tests.support import fail
from tests.support import noisy_scores as scores
from tests.support import released_scores as released
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


def test_numpys_own_file_is_read(tmp_path):
    content = {"npts": np.int64(N), "sims": np.asfortranarray(scores(2)), "note": "x"}
    np.save(tmp_path / "r.npy", content, allow_pickle=True)
    np.testing.assert_array_equal(SavedScores(tmp_path / "r.npy")[:], scores(2))


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


class Eval:
    def __reduce__(self):
        return eval, ("__import__('os').system('true')",)


@pytest.mark.parametrize("wrap", [lambda b: b, lambda b: {"npts": b, "sims": b}])
def test_a_malicious_file_is_refused(tmp_path, wrap):
    a = write(tmp_path / "a.safetensors")
    for bomb, name in ((Bomb(tmp_path / "burst"), "open"), (Eval(), r"builtin\w*.eval")):
        for protocol in (2, 4):
            path = released(tmp_path / "r.npy", wrap(bomb), protocol)
            error = fail("python", "eval_ensemble.py", a, path) if protocol == 4 else None
            if error is not None:
                assert "refused" in error
            with pytest.raises(InputError, match=f"refused.*{name}"):
                SavedScores(path)
    assert not (tmp_path / "burst").exists()


def test_a_pickle_may_not_rebuild_arrays_of_objects(tmp_path):
    """NumPy's dtype and array states are never handed to NumPy."""
    odd = (
        np.array([[1, "x"]], object),
        np.array([None], object),
        np.array(["a"]),
        np.zeros(3, "c8"),
    )
    for sims in odd:
        path = released(tmp_path / "r.npy", {"npts": 1, "sims": sims})
        with pytest.raises(InputError, match="not a result file of the public release"):
            SavedScores(path)


def damaged(path, kind):
    whole = write(path.with_name("whole.safetensors")).read_bytes()
    if kind == "cut":
        path.write_bytes(whole[:-2000])
    elif kind == "text":
        path.write_text("<html>404</html>")
    elif kind == "embeddings":
        save_embeddings(path, np.zeros((3, 4)), np.zeros((15, 4)), ["1", "2", "3"])
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
