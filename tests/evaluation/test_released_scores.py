"""The release's pickled result files: read without running them."""

import codecs

import numpy as np
import pytest

from lib.errors import InputError
from lib.evaluation.released_scores import read_released_scores
from lib.evaluation.scores import SavedScores
from tests.support import fail
from tests.support import noisy_scores as scores
from tests.support import released_scores as released
from tests.support import write_scores as write

N = 10


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


def test_scalars_and_transposed_arrays_are_read(tmp_path):
    content = {"npts": np.float64(N), "sims": scores(2).astype(np.float64), "i2t": (np.int64(1),)}
    for protocol in (2, 4):
        path = released(tmp_path / "r.npy", content, protocol)
        np.testing.assert_array_equal(read_released_scores(path), content["sims"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw[:6] + b"\x02\x00" + raw[8:], r"it has \.npy version \(2, 0\)"),
        (lambda raw: raw[:-40], "not a result file of the public release"),
    ],
)
def test_other_versions_and_cut_files(tmp_path, change, message):
    path = released(tmp_path / "r.npy", {"npts": N, "sims": scores(2)})
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=message):
        read_released_scores(path)


def test_no_room_to_unpack(tmp_path, monkeypatch):
    path = released(tmp_path / "r.npy", {"npts": N, "sims": scores(2)})

    def full():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(InputError, match=r"no room to unpack a result file .*TMPDIR=FOLDER"):
        SavedScores(path)


class Encoded:
    def __reduce__(self):
        return codecs.encode, ("abc", "rot13")


def test_bytes_are_decoded_as_numpy_wrote_them_alone(tmp_path):
    path = released(tmp_path / "r.npy", {"npts": N, "sims": Encoded()}, protocol=2)
    with pytest.raises(InputError, match="it asks for encoding 'rot13'"):
        read_released_scores(path)
