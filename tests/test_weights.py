"""PyTorch files from elsewhere: tensors and plain values, and nothing that runs."""

import zipfile

import pytest
import torch

from lib.checkpoint import load_checkpoint
from lib.errors import InputError
from lib.weights import read_torch, require_same_dtypes


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "bare pickle"])
def test_a_pickle_bomb_does_not_go_off(tmp_path, zipped):
    path = tmp_path / "model_best.pth"
    raw = {"model": [{}, {}], "opt": Bomb(tmp_path / "burst")}
    torch.save(raw, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"refused.*io\.open"):
        load_checkpoint(path)
    assert not (tmp_path / "burst").exists()


def test_a_web_page_is_no_checkpoint(tmp_path):
    (tmp_path / "c.pth").write_text("<!DOCTYPE html><html>Google Drive can't scan this file</html>")
    with pytest.raises(InputError, match=r"not a PyTorch file.*or a web page"):
        load_checkpoint(tmp_path / "c.pth")


def test_a_changed_bit_is_noticed(tmp_path):
    path = tmp_path / "c.pth"
    torch.save({"weight": torch.arange(1000.0)}, path)
    whole = path.read_bytes()
    read_torch(path, "checkpoint")
    noticed = 0
    for place in range(0, len(whole), 97):
        changed = bytearray(whole)
        changed[place] ^= 4
        path.write_bytes(bytes(changed))
        try:
            found = read_torch(path, "checkpoint")["weight"]
        except InputError:
            noticed += 1
        else:  # between the members of the archive
            assert torch.equal(found, torch.arange(1000.0))
    assert noticed > 40


def test_a_view_that_is_larger_than_its_storage_is_refused(tmp_path):
    path = tmp_path / "c.pth"
    torch.save({"a": {"b": [torch.zeros(1).expand(10**12)]}}, path)
    with pytest.raises(InputError, match=r"c\.pth: a\.b\.0 is a view"):
        read_torch(path, "checkpoint")


@pytest.mark.parametrize(
    ("dtype", "fits"),
    [("float32", True), ("float16", True), ("bfloat16", True), ("float64", False), ("int8", False),
     ("bool", False), ("complex64", False)],
)  # fmt: skip
def test_weights_become_wider_and_nothing_else(dtype, fits):
    own, found = {"w": torch.zeros(2)}, {"w": torch.zeros(2, dtype=getattr(torch, dtype))}
    if fits:
        require_same_dtypes(own, found, "m.pth")
    else:
        with pytest.raises(InputError, match=f"m.pth; w holds torch.{dtype}, expected"):
            require_same_dtypes(own, found, "m.pth")
    with pytest.raises(InputError, match="n holds"):
        require_same_dtypes({"n": torch.zeros((), dtype=torch.int64)}, {"n": torch.zeros(())}, "m")


def test_a_compressed_archive_is_no_pytorch_file(tmp_path):
    """Which could unpack to any size."""
    path = tmp_path / "c.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", bytes(10_000_000))
    with pytest.raises(InputError, match=r"archive/data\.pkl is compressed"):
        read_torch(path, "checkpoint")
